"""Files of an artifact by their content."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_artifact_files_content", "artifact_files", ["artifact", "sha256"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_artifact_files_content", table_name="artifact_files")
