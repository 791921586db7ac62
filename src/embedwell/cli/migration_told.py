"""What `embedwell migrate` says to people: what it would do, and what it did."""

from __future__ import annotations

from embedwell.app.config.sizes import format_bytes
from embedwell.cli.output import duration
from embedwell.jobs.migrate import MigrationReport, Plan
from embedwell.jobs.pair import PairPlan, PairReport
from embedwell.stores.spaces import CODE_ALONE, EVERYTHING, TEXT_ALONE

_OF = {EVERYTHING: "", TEXT_ALONE: " of text", CODE_ALONE: " of code"}


def told(found: Plan) -> str:
    """What a migration would take."""
    old, new = found.dimensions
    what = _OF[found.holds]
    begin = f"vectors{what}: " if what else ""
    way = f"{begin}{found.from_model} ({old} dimensions) to {found.to_artifact} ({new})"
    return _cost(found, way, what)


def told_pair(found: PairPlan) -> str:
    """What giving code a space of its own, or taking it away, would do and take."""
    if found.is_done:
        return f"nothing is to be done; {_shape(found)}"
    parts = [told(one) if one.holds == CODE_ALONE else _told_wider(one) for one in found.moves]
    if found.n_given_up:
        parts.append(
            f"the main space ({found.main_model}) gives up its vectors of {found.n_given_up:,} "
            f"chunks of code; the code space ({found.code_model}) has them\n"
        )
    if not found.code_model:
        parts.append(
            f"the code space is dropped with its vectors of {found.n_dropped:,} chunks; the main "
            f"space ({found.main_model}) has all chunks\n"
        )
    return "".join(parts) or f"no chunk is to be embedded; {_shape(found)}"


def reported(report: MigrationReport) -> str:
    """What a migration did."""
    return _done(report, report.outcome)


def reported_pair(report: PairReport) -> str:
    """What giving code a space of its own, or taking it away, did."""
    parts = [
        _done(
            one,
            f"the code space ({one.to_model}) is filled"
            if one.holds == CODE_ALONE
            else f"the main space ({one.to_model}) holds code too",
        )
        for one in report.moves
    ]
    if report.n_given_up:
        parts.append(
            f"the main space ({report.main_model}) gave up its vectors of "
            f"{report.n_given_up:,} chunks of code; `embedwell compact` gives their bytes back\n"
        )
    if not report.code_model:
        parts.append(
            f"the code space was dropped with its vectors of {report.n_dropped:,} chunks\n"
        )
    return "".join([*parts, _shape(report)])


def _told_wider(found: Plan) -> str:
    return _cost(
        found,
        f"the main space ({found.to_artifact}, {found.dimensions[1]} dimensions) takes code in; "
        "its vectors of text are copied",
        " of code",
    )


def _cost(found: Plan, way: str, what: str) -> str:
    size = format_bytes(found.bytes)
    lines = [
        way,
        f"{found.n_missing:,} of {found.n_chunks:,} chunks{what} to embed, about {size} on disk",
        f"{found.chunks_per_s:,.0f} chunks a second here: about {duration(found.seconds)}",
    ]
    if found.n_truncated:
        share = found.n_truncated / found.n_sampled
        lines.append(f"{share:.0%} of the chunks are longer than the new model takes: their end is")
        lines.append("not in their vectors (words in it are still found).")
    return "\n".join(lines) + "\n"


def _done(report: MigrationReport, done: str) -> str:
    checked = report.validation
    return (
        f"{done}: {report.n_embedded:,} chunks embedded in {duration(report.took_s)}; "
        f"{checked.n_found} of {checked.n_checked} sampled chunks found by their own text, "
        f"{checked.overlap:.0%} of the first ten as before\n"
    )


def _shape(found: PairPlan | PairReport) -> str:
    if not found.code_model:
        return f"text and code: {found.main_model}\n"
    both = " (in both spaces)" if found.hybrid else ""
    return f"text: {found.main_model}; code: {found.code_model}{both}\n"
