"""Artifacts: what they are, their versions, files, grants and secrets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    _artifacts()
    _versions()
    _files()
    _rest()


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "artifact_garbage",
        "artifact_secrets",
        "artifact_uploads",
        "artifact_staged_files",
        "artifact_files",
        "artifact_versions",
        "artifact_grants",
        "artifacts",
    ):
        op.drop_table(table)


def _json() -> sa.JSON:
    return sa.JSON().with_variant(JSONB(), "postgresql")


def _path() -> sa.String:
    return sa.String(length=1024).with_variant(sa.String(length=1024, collation="C"), "postgresql")


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("workspace", sa.String(length=128), nullable=False),
        sa.Column("alias", sa.String(length=64), nullable=False),
        sa.Column("parent_id", sa.String(length=36), nullable=True),
        sa.Column("type", sa.String(length=128), nullable=False),
        sa.Column("manifest", _json(), nullable=True),
        sa.Column("config", _json(), nullable=True),
        sa.Column("intent", sa.String(length=16), nullable=True),
        sa.Column("round", sa.String(length=32), nullable=True),
        sa.Column("staged", _json(), nullable=True),
        sa.Column("staged_files", sa.Integer(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.Column("version_count", sa.Integer(), nullable=False),
        sa.Column("next_version", sa.Integer(), nullable=False),
        sa.Column("download_count", sa.Float(), nullable=False),
        sa.Column("view_count", sa.Float(), nullable=False),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_modified", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=320), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["artifacts.id"]),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("workspace", "alias", name="_workspace_alias_uc"),
    )
    op.create_index("ix_artifacts_created", "artifacts", ["workspace", "parent_id", "created_at", "id"])
    op.create_index("ix_artifacts_listed", "artifacts", ["workspace", "parent_id", "id"])
    op.create_index("ix_artifacts_modified", "artifacts", ["workspace", "parent_id", "last_modified", "id"])
    op.create_index("ix_artifacts_parent", "artifacts", ["parent_id"])
    op.create_index("ix_artifacts_searched", "artifacts", ["workspace", "id"])
    op.create_index("ix_artifacts_searched_created", "artifacts", ["workspace", "created_at", "id"])


def _versions() -> None:
    op.create_table(
        "artifact_grants",
        sa.Column("artifact", sa.String(length=36), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("may_list", sa.Boolean(), nullable=False),
        sa.Column("may_edit", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["artifact"], ["artifacts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("artifact", "who"),
    )
    op.create_table(
        "artifact_versions",
        sa.Column("artifact", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("edits", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=128), nullable=False),
        sa.Column("manifest", _json(), nullable=True),
        sa.Column("config", _json(), nullable=True),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["artifact"], ["artifacts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("artifact", "number"),
        sa.UniqueConstraint("artifact", "name", name="_artifact_version_uc"),
    )


def _files() -> None:
    op.create_table(
        "artifact_files",
        sa.Column("artifact", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("folder", _path(), nullable=False),
        sa.Column("name", _path(), nullable=False),
        sa.Column("place", sa.String(length=40), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("etag", sa.String(length=128), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content_type", sa.String(length=256), nullable=False),
        sa.Column("modified", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["artifact"], ["artifacts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("artifact", "version", "folder", "name"),
    )
    op.create_table(
        "artifact_staged_files",
        sa.Column("artifact", sa.String(length=36), nullable=False),
        sa.Column("folder", _path(), nullable=False),
        sa.Column("name", _path(), nullable=False),
        sa.Column("is_removed", sa.Boolean(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["artifact"], ["artifacts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("artifact", "folder", "name"),
    )
    op.create_table(
        "artifact_uploads",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("artifact", sa.String(length=36), nullable=False),
        sa.Column("path", _path(), nullable=False),
        sa.Column("key", _path(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["artifact"], ["artifacts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_artifact_uploads_artifact", "artifact_uploads", ["artifact"])
    op.create_index("ix_artifact_uploads_expires_at", "artifact_uploads", ["expires_at"])


def _rest() -> None:
    op.create_table(
        "artifact_secrets",
        sa.Column("artifact", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["artifact"], ["artifacts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("artifact", "name"),
    )
    op.create_table(
        "artifact_garbage",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("due", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_artifact_garbage_due", "artifact_garbage", ["due"])
