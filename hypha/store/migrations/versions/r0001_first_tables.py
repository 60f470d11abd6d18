"""The first tables: workspaces and what is set in them, revoked tokens, subscriptions, facts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "facts",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "revoked_tokens",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("client_id", sa.String(length=256), nullable=False),
        sa.Column(
            "names",
            _JSON,
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("workspace", "client_id"),
    )
    op.create_table(
        "workspaces",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("persistent", sa.Boolean(), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("icon", sa.Text(), nullable=True),
        sa.Column(
            "covers",
            _JSON,
            nullable=True,
        ),
        sa.Column(
            "docs",
            _JSON,
            nullable=True,
        ),
        sa.Column(
            "config",
            _JSON,
            nullable=True,
        ),
        sa.Column("created_by", sa.String(length=320), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_workspaces_created_by", "workspaces", ["created_by"])
    op.create_table(
        "bookmarks",
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("bookmark_type", sa.String(length=32), nullable=False),
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column(
            "config",
            _JSON,
            nullable=True,
        ),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace", "bookmark_type", "id"),
    )
    op.create_table(
        "event_logs",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("user_id", sa.String(length=320), nullable=False),
        sa.Column("event_type", sa.String(length=256), nullable=False),
        sa.Column("timestamp", sa.Float(), nullable=False),
        sa.Column(
            "data",
            _JSON,
            nullable=True,
        ),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_event_logs_lookup", "event_logs", ["workspace", "user_id", "event_type", "timestamp"])
    op.create_table(
        "service_types",
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "definition",
            _JSON,
            nullable=True,
        ),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column(
            "config",
            _JSON,
            nullable=True,
        ),
        sa.Column(
            "docs",
            _JSON,
            nullable=True,
        ),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace", "id"),
    )
    op.create_table(
        "workspace_environment",
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace", "key"),
    )
    op.create_table(
        "workspace_owners",
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=320), nullable=False),
        sa.Column("folded", sa.String(length=320), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace", "position"),
    )
    op.create_index("ix_workspace_owners_folded", "workspace_owners", ["folded"])
    op.create_index("ix_workspace_owners_owner", "workspace_owners", ["owner"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_index("ix_workspace_owners_owner", table_name="workspace_owners")
    op.drop_index("ix_workspace_owners_folded", table_name="workspace_owners")
    op.drop_table("workspace_owners")
    op.drop_table("workspace_environment")
    op.drop_table("service_types")
    op.drop_index("ix_event_logs_lookup", table_name="event_logs")
    op.drop_table("event_logs")
    op.drop_table("bookmarks")
    op.drop_index("ix_workspaces_created_by", table_name="workspaces")
    op.drop_table("workspaces")
    op.drop_table("subscriptions")
    op.drop_table("revoked_tokens")
    op.drop_table("facts")
