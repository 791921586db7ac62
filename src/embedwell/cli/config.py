"""`embedwell config`: each setting, its value and where it came from; consent to a project's."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from embedwell.cli.options import json_option
from embedwell.cli.output import write_json, write_table

_folder = click.argument(
    "folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default="."
)


@click.group("config", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """Show each setting, its value and where it came from.

    Sources, the strongest last: defaults, the user's config.toml, the project's
    .embedwell/config.toml, .env, EMBEDWELL_* variables, arguments. Where some are
    wrong, the others are shown, and the exit code is 2.
    """
    if context.invoked_subcommand is None:
        _show(as_json=as_json)


def _show(*, as_json: bool) -> None:
    from embedwell.app.config.configuration import examine, shown, user_file
    from embedwell.app.config.rules import TYPES, meta, refuse

    found, faults = examine()
    values = {name: shown(name, getattr(found.settings, name)) for name in TYPES}
    if as_json:
        write_json(
            {
                "user_file": str(user_file()),
                "settings": {
                    name: {"value": value, "origin": found.origins[name]}
                    for name, value in values.items()
                },
            }
        )
    else:
        rows = [
            (name, _plain(value), found.origins[name], meta(name).description or "")
            for name, value in values.items()
        ]
        write_table(["setting", "value", "from", "meaning"], rows)
    refuse(faults)


@command.command("trust")
@_folder
@json_option
def trust(*, folder: Path, as_json: bool) -> None:
    """Consent to the settings of FOLDER's .embedwell/config.toml and .env as they are now.

    These files may come with a clone. Until you consent, and again after every change, they may
    not set paths, addresses, keys or what runs; all other settings count without consent.
    """
    from embedwell.app.config.configuration import personal_in
    from embedwell.app.config.trust import read_project
    from embedwell.app.config.trust import trust as remember

    project = read_project(folder)
    remember(project)
    personal = personal_in(project)
    if as_json:
        write_json({"folder": project.folder, "trusted": True, "settings": personal})
        return
    sys.stdout.write(f"{project.folder} is trusted until its files change\n")
    for name, settings in personal.items():
        sys.stdout.write(f"  {name} sets {', '.join(settings)}\n")


@command.command("untrust")
@_folder
@json_option
def untrust(*, folder: Path, as_json: bool) -> None:
    """Take the consent to FOLDER's settings back."""
    from embedwell.app.config.trust import read_project
    from embedwell.app.config.trust import untrust as forget

    project = read_project(folder)
    was_trusted = forget(project)
    if as_json:
        write_json({"folder": project.folder, "trusted": False, "was_trusted": was_trusted})
    else:
        said = "is no longer trusted" if was_trusted else "was not trusted"
        sys.stdout.write(f"{project.folder} {said}\n")


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    return "-" if value in (None, "") else str(value)
