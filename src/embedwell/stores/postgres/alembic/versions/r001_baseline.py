"""The baseline: a database as it is, with whatever tables an application has in it."""

from __future__ import annotations

from embedwell.stores.postgres.alembic.run import run_revision

revision = "001"
down_revision = None


def upgrade() -> None:
    """Change nothing: from here on the database has a version."""


def downgrade() -> None:
    """Refuse."""
    run_revision(revision, down=True)
