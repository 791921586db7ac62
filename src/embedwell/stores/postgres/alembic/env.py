"""What Alembic loads for every command.

Applications with an `alembic.ini` of their own may name this folder in a second section:

    script_location = embedwell.stores.postgres:alembic
    sqlalchemy.url = postgresql://…
"""

from __future__ import annotations

from embedwell.stores.postgres.alembic.run import run_command

run_command()
