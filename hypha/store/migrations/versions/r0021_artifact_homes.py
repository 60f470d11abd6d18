"""Storages that the secrets of artifacts name, and which artifacts lie there."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the column; what is there lies in the server's own store."""
    op.create_table(
        "artifact_homes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("artifact", sa.String(length=36), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("unused_since", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_artifact_homes_workspace", "artifact_homes", ["workspace"])
    op.add_column("artifacts", sa.Column("home", sa.String(length=32), nullable=True))
    where = sa.text("home IS NOT NULL")
    op.create_index("ix_artifacts_home", "artifacts", ["home"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop both."""
    op.drop_index("ix_artifacts_home", "artifacts")
    op.drop_column("artifacts", "home")
    op.drop_table("artifact_homes")
