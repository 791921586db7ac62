"""`embedwell`: the commands by name, each loaded only when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from embedwell import __version__
from embedwell.cli.failure import exit_code, explain, explain_system, explain_usage
from embedwell.cli.output import drop_output, prepare_streams
from embedwell.core.errors import EmbedwellError

# Name -> module below embedwell, and the line that `embedwell --help` shows.
COMMANDS = {
    "index": ("cli.index", "Index a folder, or bring its index up to date."),
    "work": ("cli.work", "Work off the queue of an index, alone or with others, anywhere."),
    "search": ("cli.search", "Search an index by meaning and by words."),
    "status": ("cli.status", "Show what an index holds and which files are stale."),
    "migrate": ("cli.migrate", "Move an index to another model while it is used."),
    "compare": ("cli.compare", "Compare what the model computes now with an index's vectors."),
    "runs": ("cli.runs", "Show what was indexed when, and what checks found; stop a run."),
    "queue": ("cli.queue", "List files that failed or were given up, and try them again."),
    "purge": ("cli.purge", "Delete documents by source, run or status; give their space back."),
    "compact": ("cli.compact", "Give the disk space of deleted documents back."),
    "backup": ("cli.backup", "Copy an index while it is used."),
    "embed": ("cli.embed", "Print the vectors of texts."),
    "serve": ("server.command", "Serve embeddings to every process of this machine."),
    "mcp": ("server.mcp.command", "Let programs that speak MCP search an index."),
    "models": ("cli.models", "List, pull, remove and calibrate models."),
    "db": ("cli.db", "Upgrade the schema in PostgreSQL; adopt a database with its own tables."),
    "engines": ("cli.engines", "Show what can run models here, and measure it."),
    "config": ("cli.config", "Show each setting, its value and where it came from."),
    "doctor": ("cli.doctor", "Check this machine and the index; say what to mend."),
}

_HELP = """Embeddings that fit the machine, and never silently disagree.

Index a folder and search it by meaning:

\b
    embedwell index
    embedwell search "how are retries configured"

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 done but some items failed,
4 another process is writing, 130 interrupted.
"""


class LazyGroup(click.Group):
    """A group that imports a command when it is called, so that `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which people meet them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"embedwell.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="embedwell")
def cli() -> None:
    """The group that all commands belong to."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code."""
    prepare_streams()
    code = _run(list(sys.argv[1:] if arguments is None else arguments))
    drop_output()
    sys.exit(code)


def _run(words: list[str]) -> int:
    """The exit code of a call; what went wrong is told."""
    as_json = "--json" in words
    try:
        try:
            cli.main(args=words, prog_name="embedwell", standalone_mode=False)
        finally:
            sys.stdout.flush()  # a full disk is told now, rather than by the interpreter's end
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        return explain_usage(error, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except OSError as error:
        return explain_system(error, as_json=as_json)
    except EmbedwellError as error:
        explain(error, as_json=as_json)
        return exit_code(error)
    return 0


if __name__ == "__main__":
    main()
