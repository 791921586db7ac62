"""Spaces that hold text or code alone."""

from __future__ import annotations

from embedwell.stores.postgres.alembic.run import run_revision

revision = "004"
down_revision = "003"


def upgrade() -> None:
    """Add them."""
    run_revision(revision)


def downgrade() -> None:
    """Take them back; refused while text and code are in two spaces."""
    run_revision(revision, down=True)
