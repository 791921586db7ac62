"""Our tables."""

from __future__ import annotations

from embedwell.stores.postgres.alembic.run import run_revision

revision = "002"
down_revision = "001"


def upgrade() -> None:
    """Make them."""
    run_revision(revision)


def downgrade() -> None:
    """Drop them, with all that is in them, and nothing else."""
    run_revision(revision, down=True)
