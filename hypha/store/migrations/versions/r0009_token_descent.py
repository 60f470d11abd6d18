"""Tokens know the token with which they were made."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was made before is found by its maker."""
    op.add_column("issued_tokens", sa.Column("made_with", sa.String(length=64), nullable=True))
    op.create_index("ix_issued_tokens_made_with", "issued_tokens", ["made_with"])


def downgrade() -> None:
    """Drop the column."""
    op.drop_index("ix_issued_tokens_made_with", "issued_tokens")
    op.drop_column("issued_tokens", "made_with")
