"""How much is kept in each workspace is counted, so that it can be bounded."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_CONTENT = {
    "workspace_environment": ("value",),
    "bookmarks": ("name", "description", "config"),
    "service_types": ("name", "definition", "description", "config", "docs"),
    "event_logs": ("data",),
}


def upgrade() -> None:
    """Add the sizes and the table of what each workspace keeps, and count what is there."""
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for table, columns in _CONTENT.items():
        op.add_column(table, sa.Column("size", sa.Integer(), nullable=False, server_default="0"))
        raw = "octet_length(%s)" if is_postgres else "length(CAST(%s AS BLOB))"
        text = "octet_length(CAST(%s AS TEXT))" if is_postgres else raw
        sizes = [(raw if column == "value" else text) % column for column in columns]
        op.execute(f"UPDATE {table} SET size = " + " + ".join(f"COALESCE({size}, 0)" for size in sizes))
    op.create_table(
        "stored_use",
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace", "kind"),
    )
    for table in (*_CONTENT, "queue_tasks"):
        op.execute(
            "INSERT INTO stored_use (workspace, kind, count, size) "
            f"SELECT workspace, '{table}', COUNT(*), SUM(size) FROM {table} GROUP BY workspace"
        )


def downgrade() -> None:
    """Drop the table and the columns."""
    op.drop_table("stored_use")
    for table in _CONTENT:
        op.drop_column(table, "size")
