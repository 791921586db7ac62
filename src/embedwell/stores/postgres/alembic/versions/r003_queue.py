"""Sources, runs, the queue and workers."""

from __future__ import annotations

from embedwell.stores.postgres.alembic.run import run_revision

revision = "003"
down_revision = "002"


def upgrade() -> None:
    """Make them; files that are there become those of a folder."""
    run_revision(revision)


def downgrade() -> None:
    """Drop them; documents stay."""
    run_revision(revision, down=True)
