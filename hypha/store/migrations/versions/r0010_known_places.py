"""Places from which people signed in before."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "known_places",
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=128), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("mark"),
    )
    op.create_index("ix_known_places_account", "known_places", ["account"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_index("ix_known_places_account", table_name="known_places")
    op.drop_table("known_places")
