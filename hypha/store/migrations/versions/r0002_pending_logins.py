"""Pending logins."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "pending_logins",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=128), nullable=True),
        sa.Column("token_life_s", sa.Float(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash"),
    )
    op.create_index("ix_pending_logins_expires_at", "pending_logins", ["expires_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_index("ix_pending_logins_expires_at", table_name="pending_logins")
    op.drop_table("pending_logins")
