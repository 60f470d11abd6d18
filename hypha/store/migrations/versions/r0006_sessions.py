"""Sign-ins stand beside the generated tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    kind = sa.Column("kind", sa.String(length=16), nullable=False, server_default="generated")
    op.add_column("issued_tokens", kind)


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("issued_tokens", "kind")
