"""`embedwell doctor`: what this machine is like, and what to mend."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from embedwell.cli.options import db_option, json_option
from embedwell.cli.output import write_json, write_table


@click.command("doctor")
@click.option("--deep", is_flag=True, help="Also embed a sample of the index's passages anew.")
@db_option
@json_option
def command(*, deep: bool, db: str | None, as_json: bool) -> None:
    """Check settings, machine, SQLite, model and index. Exits with 1 if something is broken."""
    from embedwell.app.checks.doctor import diagnose

    checks = diagnose(db, deep=deep)
    healthy = all(check.ok for check in checks)
    if as_json:
        write_json({"ok": healthy, "checks": [asdict(check) for check in checks]})
    else:
        rows = [
            ("ok" if check.ok else "BROKEN", check.name, f"{check.found} {check.remedy}".strip())
            for check in checks
        ]
        write_table(["", "check", "found"], rows)
    sys.exit(0 if healthy else 1)
