"""The audit log counts what is repeated, and keeps refusals apart from the rest."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; earlier refusals go to the rings of refusals."""
    op.add_column("audit_log", sa.Column("first", sa.Float(), nullable=False, server_default="0"))
    op.add_column("audit_log", sa.Column("ring", sa.SmallInteger(), nullable=False, server_default="0"))
    op.execute('UPDATE audit_log SET "first" = timestamp')
    op.execute("UPDATE audit_log SET ring = 1 WHERE action IN ('access_refused', 'sign_in_refused')")
    op.execute(
        "UPDATE audit_log SET ring = 2 WHERE ring = 1 AND (user_id = '' OR user_id LIKE 'anonymouz-%')"
    )


def downgrade() -> None:
    """Drop the columns."""
    op.drop_column("audit_log", "ring")
    op.drop_column("audit_log", "first")
