"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON.")
db_option = click.option(
    "--db",
    metavar="FILE|ADDRESS",
    help="Index file, or a database's address; by default `.embedwell/index.db`, found by "
    "walking up.",
)
threads_option = click.option(
    "--threads", type=click.IntRange(min=0), help="Threads of the engine; 0 takes all CPUs."
)


def model_options(command: F) -> F:
    """`--model` and `--quantization`."""
    command = click.option(
        "--quantization",
        type=click.Choice(["q4", "q8", "q16", "q32"]),
        help="Bits per weight.",
    )(command)
    return click.option("--model", help="Catalogue name, or `auto`; see `embedwell models list`.")(
        command
    )
