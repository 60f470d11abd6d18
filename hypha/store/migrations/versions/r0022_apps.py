"""Grants of apps, workers that are off, and sessions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

FOREIGN = (["workspace"], ["workspaces.id"])
_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "app_grants",
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("app_id", sa.String(length=128), nullable=False),
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("is_daemon", sa.Boolean(), nullable=False),
        sa.Column("starter", _JSON, nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "app_id"),
        sa.ForeignKeyConstraint(*FOREIGN, ondelete="CASCADE"),
    )
    op.create_table(
        "app_disabled_workers",
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("worker_id", sa.String(length=700), nullable=False),
        sa.PrimaryKeyConstraint("workspace", "worker_id"),
        sa.ForeignKeyConstraint(*FOREIGN, ondelete="CASCADE"),
    )
    op.create_table(
        "app_sessions",
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("app_id", sa.String(length=128), nullable=False),
        sa.Column("worker_id", sa.String(length=700), nullable=False),
        sa.Column("token_mark", sa.String(length=64), nullable=False),
        sa.Column("token_until", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(*FOREIGN, ondelete="CASCADE"),
    )


def downgrade() -> None:
    """Drop them again."""
    for name in ("app_sessions", "app_disabled_workers", "app_grants"):
        op.drop_table(name)
