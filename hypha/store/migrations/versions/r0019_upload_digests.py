"""Uploads in parts know the digest of what they are of."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was begun before may be of anything."""
    op.add_column(
        "artifact_uploads", sa.Column("sha256", sa.String(length=64), nullable=False, server_default="")
    )


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("artifact_uploads", "sha256")
