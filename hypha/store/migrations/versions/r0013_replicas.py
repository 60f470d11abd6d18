"""Temporary workspaces and subscriptions know the replica that answers for them."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_OWNED = ("workspaces", "subscriptions")


def upgrade() -> None:
    """Create the table of replicas and add the columns; what is there waits for the next start."""
    id_type = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "replicas",
        sa.Column("id", id_type, nullable=False, autoincrement=True),
        sa.Column("name", sa.String(length=320), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    number = "BIGINT" if op.get_bind().dialect.name == "postgresql" else "INTEGER"
    for table in _OWNED:  # in SQL, for SQLite takes a foreign key with its column alone
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN replica {number} REFERENCES replicas (id) ON DELETE SET NULL"
        )
        op.create_index(f"ix_{table}_replica", table, ["replica"])


def downgrade() -> None:
    """Drop the columns and the table; SQLite cannot, where the database was made with them."""
    for table in _OWNED:
        op.drop_index(f"ix_{table}_replica", table_name=table)
        op.drop_column(table, "replica")
    op.drop_table("replicas")
