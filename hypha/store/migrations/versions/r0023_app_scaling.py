"""Apps that are scaled."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "app_scaling",
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("app_id", sa.String(length=128), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("up_at", sa.Float(), nullable=False),
        sa.Column("down_at", sa.Float(), nullable=False),
        sa.Column("replica", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.PrimaryKeyConstraint("workspace", "app_id"),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["replica"], ["replicas.id"], ondelete="SET NULL"),
    )
    op.create_index("ix_app_scaling_replica", "app_scaling", ["replica"])


def downgrade() -> None:
    """Drop it again."""
    op.drop_table("app_scaling")
