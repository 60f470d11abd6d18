"""Artifacts that are applications are found by an index of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_WHERE = sa.text("type = 'application'")


def upgrade() -> None:
    """Create the index."""
    op.create_index(
        "ix_artifacts_applications", "artifacts", ["workspace"], sqlite_where=_WHERE, postgresql_where=_WHERE
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_artifacts_applications", "artifacts")
