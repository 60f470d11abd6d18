"""Workspaces that wait to be confirmed by whoever proved an account's address."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "held_workspaces",
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("account", sa.String(length=128), nullable=False),
        sa.Column("owners", _JSON, nullable=False),
        sa.Column("held_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace"),
    )
    op.create_index("ix_held_workspaces_account", "held_workspaces", ["account"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_index("ix_held_workspaces_account", table_name="held_workspaces")
    op.drop_table("held_workspaces")
