"""`embedwell serve`: the service in the foreground."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("serve")
@click.option("--socket", type=click.Path(path_type=Path), help="Unix socket to listen on.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 leaves TCP out.")
def command(*, socket: Path | None, host: str | None, port: int | None) -> None:
    """Serve embeddings to every process of this machine, within one memory budget."""
    from embedwell.app.configuration import load  # noqa: PLC0415 - `--help` is instant
    from embedwell.server.serve import serve  # noqa: PLC0415 - the same

    serve(load({"socket": socket, "host": host, "port": port}).settings)
