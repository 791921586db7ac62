"""`embedwell serve`: the service in the foreground."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("serve")
@click.option("--socket", type=click.Path(path_type=Path), help="Unix socket to listen on.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="TCP port; 0 leaves TCP out.")
@click.option(
    "--index",
    "indexes",
    multiple=True,
    metavar="FOLDER",
    help="Folder whose index is answered for over TCP too, by its name.",
)
@click.option("--preload", multiple=True, metavar="MODEL", help="Model to load at the start.")
@click.option(
    "--exit-when-idle",
    "exit_when_idle_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Leave after so long without a request.",
)
@click.option("--log-json", is_flag=True, help="Write the log as lines of JSON.")
def command(
    *,
    socket: Path | None,
    host: str | None,
    port: int | None,
    indexes: tuple[str, ...],
    preload: tuple[str, ...],
    exit_when_idle_s: float | None,
    log_json: bool,
) -> None:
    """Serve embeddings to every process of this machine, within one memory budget.

    Ends on SIGTERM or Ctrl-C, after the requests that it has; at once on the second.
    """
    from embedwell.app.config.configuration import load  # noqa: PLC0415 - `--help` is instant
    from embedwell.server.serve import serve  # noqa: PLC0415 - the same

    given = {"socket": socket, "host": host, "port": port}
    lists = {"preload": preload or None, "indexes": indexes or None}
    settings = load(given | lists).settings
    serve(settings, exit_when_idle_s=exit_when_idle_s, log_json=log_json)
