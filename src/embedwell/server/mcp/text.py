"""Answers of the tools as people and models read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Answer = dict[str, Any]

# Enough to see what kind of files they are; the structured answer has them all.
_SHOWN = 10


def search_text(found: Answer) -> str:
    """Passages, the best first, each below its place."""
    head = [found["notice"]] if found.get("notice") else []
    results = found["results"]
    if not results:
        return "\n\n".join([*head, "Nothing was found."])
    return "\n\n".join([*head, *(_hit(result) for result in results)])


def _hit(result: Answer) -> str:
    place = f"{result['path']}:{result['start_line']}-{result['end_line']}"
    title = f" · {result['title']}" if result["title"] else ""
    head = f"{result['rank']}. {place} (score {result['score']:.2f}, id {result['id']}){title}"
    return f"{head}\n{result['text']}"


def passage_text(found: Answer) -> str:
    """The parts of a passage, each below its lines."""
    parts = [
        f"[{part['start_line']}-{part['end_line']}] {part['title']}".rstrip() + f"\n{part['text']}"
        for part in found["chunks"]
    ]
    shown, total = len(parts), found["n_chunks"]
    head = f"{found['path']}:{found['start_line']}-{found['end_line']}, {shown} of {total} passages"
    return "\n\n".join([head, *parts])


def status_text(found: Answer) -> str:
    """What an index holds, a line each."""
    lines = [
        f"{found['documents']:,} documents and {found['chunks']:,} passages in {found['db']}",
        f"model {found['model']}, {found['dimensions']} dimensions",
    ]
    stale = found["stale"]
    if stale is None:
        return "\n".join(lines)
    changed, gone = stale["changed"], stale["gone"]
    if not changed and not gone:
        return "\n".join([*lines, "up to date with its folder"])
    lines.append(f"{len(changed):,} files are new or changed, {len(gone):,} are gone: reindex")
    return "\n".join([*lines, *_listed(changed + gone)])


def report_text(found: Answer) -> str:
    """What a run of indexing did."""
    removed, same = found["n_removed"], found["n_unchanged"]
    changes = f"{found['n_added']:,} added, {found['n_updated']:,} updated, {removed:,} removed"
    lines = [f"{changes}, {same:,} unchanged in {found['took_s']:.1f} s"]
    if failed := found["failed"]:
        lines.append(f"{len(failed):,} failed:")
        lines += _listed([f"{thing['key']}: {thing['reason']}" for thing in failed])
    return "\n".join(lines)


def _listed(things: list[str]) -> list[str]:
    more = [f"  … and {len(things) - _SHOWN:,} more"] if len(things) > _SHOWN else []
    return [f"  {thing}" for thing in things[:_SHOWN]] + more


TEXTS: Mapping[str, Callable[[Answer], str]] = {
    "search": search_text,
    "get": passage_text,
    "status": status_text,
    "reindex": report_text,
}
"""By tool."""
