"""How a revision runs its SQL file."""

from __future__ import annotations

from alembic import context, op

from embedwell.stores.postgres.upgrade import script


def run(revision: str, *, down: bool = False) -> None:
    """Run the SQL of a revision, or write it where only SQL is asked for.

    The text goes to the driver as it is: SQLAlchemy would take `:name` and `%` in it for
    parameters.
    """
    text = script(revision, context.config.attributes["names"], down=down)
    if context.is_offline_mode():
        op.get_context().impl.static_output(text)
    else:
        op.get_bind().exec_driver_sql(text, execution_options={"no_parameters": True})
