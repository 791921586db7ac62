"""`embedwell mcp`: a Model Context Protocol server on standard input and output."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("mcp")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@click.option("--socket", type=click.Path(path_type=Path), help="Unix socket of the service.")
def command(*, folder: Path, socket: Path | None) -> None:
    """Let programs that speak the Model Context Protocol search the index of FOLDER.

    Speaks on standard input and output. Holds no model: it asks the machine's service, which it
    starts where none runs, so that many clients share one.
    """
    from embedwell.server.mcp.stdio import serve  # noqa: PLC0415 - `--help` is instant

    serve(folder, socket)
