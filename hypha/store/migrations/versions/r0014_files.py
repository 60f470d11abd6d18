"""Uploads of files in parts, and files that end by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "object_uploads",
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_object_uploads_expires_at", "object_uploads", ["expires_at"])
    op.create_table(
        "object_expiries",
        sa.Column("key", sa.String(length=1024), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_object_expiries_expires_at", "object_expiries", ["expires_at"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("object_expiries")
    op.drop_table("object_uploads")
