"""`embedwell config`: each setting, its value and where it came from."""

from __future__ import annotations

import click

from embedwell.cli.options import json_option


@click.command("config")
@json_option
def command(*, as_json: bool) -> None:
    """Show each setting, its value and where it came from.

    Sources, the strongest last: defaults, the user's config.toml, the project's
    .embedwell/config.toml, .env, EMBEDWELL_* variables, arguments.
    """
    from embedwell.app.configuration import load, user_file
    from embedwell.app.settings import TYPES, meta
    from embedwell.cli.output import write_json, write_table

    loaded = load()
    if as_json:
        write_json(
            {
                "user_file": str(user_file()),
                "settings": {
                    name: {"value": getattr(loaded.settings, name), "origin": loaded.origins[name]}
                    for name in TYPES
                },
            }
        )
        return
    rows = []
    for name in TYPES:
        value = getattr(loaded.settings, name)
        shown = "-" if value is None else str(value)
        rows.append((name, shown, loaded.origins[name], meta(name).description or ""))
    write_table(["setting", "value", "from", "meaning"], rows)
