"""Write the generated parts of the docs, or check that they are up to date (`--check`).

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from embedwell.app.config.rules import PERSONAL, TYPES, meta
from embedwell.app.config.settings import Settings
from embedwell.app.models.listing import Listed, ram
from embedwell.cli.main import COMMANDS, cli
from embedwell.core import errors
from embedwell.ingest.formats import table as formats_table
from embedwell.models.catalogue import catalogue
from embedwell.runtime.pressure import ACTIONS
from embedwell.runtime.profile import PROFILES
from embedwell.server.about.events import table as events_table
from embedwell.server.application import ENDPOINTS
from embedwell.server.shared.metrics import table as metrics_table
from embedwell.stores.sqlite.files import create_database
from embedwell.stores.sqlite.schema import VERSION, schema_text

ROOT = Path(__file__).resolve().parent.parent
PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def settings_table() -> str:
    """Every setting with its default, as Markdown."""
    rows = ["| setting | variable | default | meaning |", "| --- | --- | --- | --- |"]
    for name in TYPES:
        note = " In a project's files only with your consent." if name in PERSONAL else ""
        rows.append(
            f"| `{name}` | `EMBEDWELL_{name.upper()}` | {_default(name)} | "
            f"{meta(name).description}{note} |"
        )
    return "\n".join(rows)


def _default(name: str) -> str:
    if name == "cache":  # depends on the machine
        return "the user's cache folder"
    value = getattr(Settings(), name)
    if value in (None, "", ()):
        return "none"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def environment_example() -> str:
    """`.env.example`: every setting, commented out."""
    lines = ["# Copy to `.env` and uncomment what you change.", ""]
    for name in TYPES:
        lines.append(f"# {meta(name).description}")
        value = getattr(Settings(), name)
        shown = "" if value in (None, "", ()) or name == "cache" else value
        if isinstance(value, bool):
            shown = str(value).lower()
        lines += [f"# EMBEDWELL_{name.upper()}={shown}", ""]
    return "\n".join(lines)


def errors_table() -> str:
    """The error tree as it stands at the top of the errors' file."""
    tree = (errors.__doc__ or "").split("\n\n")[1]
    return f"```\n{tree}\n```"


def command_reference() -> str:
    """`--help` of every command."""
    parts = []
    for words in _commands():
        command: click.Command = cli
        context = click.Context(cli, info_name="embedwell")
        for word in words:
            assert isinstance(command, click.Group)
            found = command.get_command(context, word)
            assert found is not None
            command = found
            context = click.Context(command, info_name=word, parent=context)
        with click.formatting_width(88) if hasattr(click, "formatting_width") else context:
            context.max_content_width = context.terminal_width = 88
            text = command.get_help(context)
        parts.append(f"## {' '.join(['embedwell', *words])}\n\n```text\n{text}\n```")
    return "\n\n".join(parts)


def _commands() -> Iterator[tuple[str, ...]]:
    yield ()
    for name in COMMANDS:
        yield (name,)
        command = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            for inner in command.list_commands(click.Context(command)):
                yield name, inner


def models_table() -> str:
    """The catalogue as Markdown, with the estimated memory at each level in MB."""
    columns = ["model", "vectors", "tokens", "RAM q4 / q8 / q16 / q32, MB", "latency", "languages"]
    columns += ["licence", "standing", "what it is for"]
    rows = [f"| {' | '.join(columns)} |"]
    rows.append("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for card in catalogue().values():
        row = Listed(card, "q8", ram(card), {})
        memory = " / ".join(f"{size / 1e6:.0f}" for size in row.ram_bytes.values())
        lengths = " ".join(map(str, (card.dimensions, *card.matryoshka)))
        vectors = lengths if card.head == "embedding" else "a score"
        cells = [f"`{card.name}`", vectors, card.max_tokens, memory, card.latency, row.languages]
        cells += [card.licence, row.standing, card.summary]
        rows += ["| " + " | ".join(map(str, cells)) + " |"]
    return "\n".join(rows)


def measured_models_table() -> str:
    """What `benchmarks/model_memory.py` measured, as Markdown."""
    place = ROOT / "benchmarks" / "results" / "model_memory.json"
    found = json.loads(place.read_text("utf-8"))["rows"] if place.is_file() else []
    rows = ["| network | level | on disk | RSS loaded | RSS after bulk | as |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    for row in found:
        cells = [f"{row[name]:.0f}" for name in ("disk_mb", "loaded_mb", "after_mb")]
        models = ", ".join(f"`{one}`" for one in row["models"]) or "-"
        rows.append(f"| {' | '.join([row['network'], row['quantization'], *cells, models])} |")
    return "\n".join(rows)


def routes_table() -> str:
    """Every route of the service, as Markdown."""
    rows = ["| route | what it does | body | refuses with, beside the common ones |"]
    rows.append("| --- | --- | --- | --- |")
    for endpoint in sorted(ENDPOINTS, key=lambda e: (e.dialect, e.path, e.method)):
        summary = endpoint.summary
        if endpoint.query:
            parameters = "; ".join(
                f"`{name}`: {meaning.rstrip('.')}" for name, meaning in endpoint.query
            )
            summary += f" Query: {parameters}."
        body = "" if endpoint.body is None else f"`{endpoint.body.__name__}`"
        refused = "; ".join(f"{status}: {reason}" for status, reason in endpoint.statuses)
        cells = [f"`{endpoint.method} {endpoint.path}`", summary, body, refused]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def pressure_table() -> str:
    """What each level of memory pressure does, as Markdown."""
    rows = ["| level | memory in use | batches | cache | unused models leave | loading |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    for level, action in ACTIONS.items():
        leave = "as set" if action.idle_s is None else f"after {action.idle_s:g} s at most"
        cells = [
            f"`{level}`",
            action.meaning,
            f"{action.batch_share:.0%}",
            f"{action.cache_share:.0%}",
            "at once" if action.idle_s == 0 else leave,
            "yes" if action.loads else "refused",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def profiles_table() -> str:
    """What a machine's memory gives by default, as Markdown."""
    rows = ["| memory | quantization of large models | models at once | unload after |"]
    rows.append("| --- | --- | --- | --- |")
    for profile in PROFILES:
        size = profile.up_to_bytes
        memory = "more" if size is None else f"up to {size >> 30} GiB"
        leave = f"{profile.idle_s:g} s" if profile.idle_s else "never"
        rows.append(f"| {memory} | {profile.quantization} | {profile.n_models} | {leave} |")
    return "\n".join(rows)


def index_schema() -> str:
    """The tables of a new index file, as SQLite shows them, each with what its file says of it."""
    texts = "".join(schema_text(number + 1) for number in range(VERSION))
    said = {
        name.removeprefix("new_"): comment
        for comment, name in re.findall(r"((?:--.*\n)+)CREATE (?:\w+ )?(?:TABLE|VIEW) (\w+)", texts)
    }
    with tempfile.TemporaryDirectory() as folder:
        database = create_database(Path(folder, "index.db"))
        rows = database.rows("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        database.close()
    shown = [
        (f"\n{said[name]}" if name in said else "") + sql.replace('"', "") + ";"
        for name, sql in rows
        if not name.startswith(("sqlite_", "lexical_")) or name == "lexical_rows"
    ]
    return "```sql\n" + "\n".join(shown).lstrip() + "\n```"


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "errors": errors_table,
    "commands": command_reference,
    "models": models_table,
    "measured_models": measured_models_table,
    "formats": formats_table,
    "metrics": metrics_table,
    "events": events_table,
    "routes": routes_table,
    "pressure": pressure_table,
    "profiles": profiles_table,
    "schema": index_schema,
}


def generated() -> Iterator[tuple[Path, str]]:
    """Each file with generated parts, and what it should hold."""
    yield ROOT / ".env.example", environment_example()
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = file.read_text("utf-8")
        yield file, PART.sub(lambda m: f"{m[1]}{PARTS[m[2]]()}\n{m[3]}", text)


def unused() -> set[str]:
    """Parts that no page has: whoever removes one should know."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    texts = [page.read_text("utf-8") for page in pages]
    return set(PARTS) - {name for text in texts for _, name, _ in PART.findall(text)}


def main() -> int:
    """Write, or check; returns the exit code."""
    if missing := unused():
        print(f"No page has the generated part {', '.join(sorted(missing))}.")
        return 1
    stale = [
        (file, text)
        for file, text in generated()
        if not file.exists() or file.read_text("utf-8") != text
    ]
    if "--check" in sys.argv:
        for file, _ in stale:
            print(f"{file.relative_to(ROOT)} is out of date: run `make docs`")
        return int(bool(stale))
    for file, text in stale:
        file.write_text(text, "utf-8")
        print(f"wrote {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
