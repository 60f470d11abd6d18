"""The tables of artifacts: what they are, their versions, files, grants and secrets."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from hypha.store.base import Base, Json, of_workspace

APPLICATION = "application"
"""The type of an artifact whose alias services may have as their app id."""

PathText = String(1024).with_variant(String(1024, collation="C"), "postgresql")
"""A path or a part of one, compared by its bytes on every database."""

_AT_HOMES = text("home IS NOT NULL")
_OF_APPLICATIONS = text(f"type = '{APPLICATION}'")


def _of_artifact(*, is_key: bool = True) -> Mapped[str]:
    return mapped_column(
        String(36), ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=is_key, nullable=False
    )


_SQLITE_NAME, _POSTGRES_NAME = "'$.\"name\"'", "manifest -> 'name'"
NAME_ORDER = {
    "sqlite": (
        f"(CASE WHEN json_type(manifest, {_SQLITE_NAME}) IN ('integer', 'real') THEN 0"
        f" WHEN json_type(manifest, {_SQLITE_NAME}) = 'text' THEN 1 ELSE 2 END)",
        f"(coalesce(CASE WHEN json_type(manifest, {_SQLITE_NAME}) IN ('integer', 'real')"
        f" THEN json_extract(manifest, {_SQLITE_NAME}) END, 0))",
        f"(coalesce(CASE WHEN json_type(manifest, {_SQLITE_NAME}) = 'text'"
        f" THEN substr(json_extract(manifest, {_SQLITE_NAME}), 1, 256) END, ''))",
    ),
    "postgresql": (
        f"(CASE WHEN jsonb_typeof({_POSTGRES_NAME}) = 'number' THEN 0"
        f" WHEN jsonb_typeof({_POSTGRES_NAME}) = 'string' THEN 1 ELSE 2 END)",
        f"(coalesce(CASE WHEN jsonb_typeof({_POSTGRES_NAME}) = 'number'"
        f" THEN CAST(manifest ->> 'name' AS double precision) END, 0))",
        f"(coalesce(CASE WHEN jsonb_typeof({_POSTGRES_NAME}) = 'string'"
        f" THEN left(manifest ->> 'name', 256) END, '') COLLATE \"C\")",
    ),
}
"""What lists are sorted by that are ordered by `manifest.name`: an index is used for its very text alone.

Only the beginning of a name counts: PostgreSQL takes no entry of an index that is longer than 2,704 bytes.
"""

_COMMITTED_INSIDE = text("parent_id IS NOT NULL AND version_count > 0")
_COMMITTED_OUTSIDE = text("parent_id IS NULL AND version_count > 0")


def _listed(name: str, *columns: Any) -> tuple[Index, Index]:
    """Indexes for lists of a collection, and for those of what is in none.

    PostgreSQL takes the order of an index behind a column that is compared, not behind one that is null.
    """
    inside, outside = text("parent_id IS NOT NULL"), text("parent_id IS NULL")
    return (
        Index(f"ix_artifacts_in_{name}", "workspace", "parent_id", *columns,
              sqlite_where=inside, postgresql_where=inside),
        Index(f"ix_artifacts_top_{name}", "workspace", *columns,
              sqlite_where=outside, postgresql_where=outside),
    )  # fmt: skip


def _listed_by_name(dialect: str) -> list[Index]:
    keys = [text(key) for key in NAME_ORDER[dialect]]
    return [index.ddl_if(dialect=dialect) for index in _listed(f"named_{dialect}", *keys, "id")]


class Artifact(Base):
    """One artifact as committed; what is staged of its fields is `staged`, of its files a row each.

    `intent` is set while it is staged, and `round` then names the folder of what is uploaded. Without a
    version (`version_count` 0) it is a draft. `change` counts changes of what is staged. `home` is the id of
    the storage in which its files lie, null for the server's own.
    """

    __tablename__ = "artifacts"
    __table_args__ = (
        UniqueConstraint("workspace", "alias", name="_workspace_alias_uc"),
        Index(
            "ix_artifacts_in_listed",
            "workspace",
            "parent_id",
            "id",
            "version_count",
            sqlite_where=_COMMITTED_INSIDE,
            postgresql_where=_COMMITTED_INSIDE,
        ),
        Index(
            "ix_artifacts_top_listed",
            "workspace",
            "id",
            "parent_id",
            "version_count",
            sqlite_where=_COMMITTED_OUTSIDE,
            postgresql_where=_COMMITTED_OUTSIDE,
        ),
        *_listed("created", "created_at", "id"),
        *_listed("modified", "last_modified", "id"),
        *_listed_by_name("sqlite"),
        *_listed_by_name("postgresql"),
        Index("ix_artifacts_searched", "workspace", "id"),
        Index("ix_artifacts_searched_created", "workspace", "created_at", "id"),
        Index("ix_artifacts_parent", "parent_id"),
        Index("ix_artifacts_home", "home", sqlite_where=_AT_HOMES, postgresql_where=_AT_HOMES),
        Index(
            "ix_artifacts_applications",
            "workspace",
            sqlite_where=_OF_APPLICATIONS,
            postgresql_where=_OF_APPLICATIONS,
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    workspace: Mapped[str] = of_workspace(is_key=False)
    alias: Mapped[str] = mapped_column(String(64))
    parent_id: Mapped[str | None] = mapped_column(String(36), ForeignKey("artifacts.id"))
    type: Mapped[str] = mapped_column(String(128))
    manifest: Mapped[Any] = mapped_column(Json, nullable=True)
    config: Mapped[Any] = mapped_column(Json, nullable=True)
    intent: Mapped[str | None] = mapped_column(String(16))
    round: Mapped[str | None] = mapped_column(String(32))
    home: Mapped[str | None] = mapped_column(String(32))
    staged: Mapped[Any] = mapped_column(Json, nullable=True)
    staged_files: Mapped[int]
    change: Mapped[int] = mapped_column(BigInteger)
    version_count: Mapped[int]
    next_version: Mapped[int]
    download_count: Mapped[float] = mapped_column(Float)
    view_count: Mapped[float] = mapped_column(Float)
    file_count: Mapped[int]
    created_at: Mapped[int] = mapped_column(BigInteger)
    last_modified: Mapped[int] = mapped_column(BigInteger)
    created_by: Mapped[str] = mapped_column(String(320))
    size: Mapped[int]


class ArtifactGrant(Base):
    """Who may list an artifact, and who may see what is staged of it: made from its `config.permissions`."""

    __tablename__ = "artifact_grants"

    artifact: Mapped[str] = _of_artifact()
    who: Mapped[str] = mapped_column(Text, primary_key=True)
    may_list: Mapped[bool]
    may_edit: Mapped[bool]


class ArtifactVersion(Base):
    """A version; `number` is never given again, and names its folder. The highest is the latest.

    `edits` counts how often the version was changed in place.
    """

    __tablename__ = "artifact_versions"
    __table_args__ = (UniqueConstraint("artifact", "name", name="_artifact_version_uc"),)

    artifact: Mapped[str] = _of_artifact()
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(128))
    comment: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(BigInteger)
    edits: Mapped[int]
    type: Mapped[str] = mapped_column(String(128))
    manifest: Mapped[Any] = mapped_column(Json, nullable=True)
    config: Mapped[Any] = mapped_column(Json, nullable=True)
    file_count: Mapped[int]
    size: Mapped[int]


class ArtifactFile(Base):
    """A file of a version, at `folder/name`; its bytes lie in the folder `place` of the artifact."""

    __tablename__ = "artifact_files"
    __table_args__ = (Index("ix_artifact_files_content", "artifact", "sha256"),)

    artifact: Mapped[str] = _of_artifact()
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    folder: Mapped[str] = mapped_column(PathText, primary_key=True)
    name: Mapped[str] = mapped_column(PathText, primary_key=True)
    place: Mapped[str] = mapped_column(String(40))
    size: Mapped[int] = mapped_column(BigInteger)
    etag: Mapped[str] = mapped_column(String(128))
    sha256: Mapped[str] = mapped_column(String(64))
    content_type: Mapped[str] = mapped_column(String(256))
    modified: Mapped[float] = mapped_column(Float)


class StagedFile(Base):
    """A file that was announced for the next commit, or is to go then."""

    __tablename__ = "artifact_staged_files"

    artifact: Mapped[str] = _of_artifact()
    folder: Mapped[str] = mapped_column(PathText, primary_key=True)
    name: Mapped[str] = mapped_column(PathText, primary_key=True)
    is_removed: Mapped[bool]
    weight: Mapped[float] = mapped_column(Float)


class ArtifactUpload(Base):
    """An upload in parts that was begun, until `expires_at`; without `sha256` it may be of anything."""

    __tablename__ = "artifact_uploads"

    id: Mapped[str] = mapped_column(String(256), primary_key=True)
    artifact: Mapped[str] = mapped_column(
        String(36), ForeignKey("artifacts.id", ondelete="CASCADE"), nullable=False, index=True
    )
    path: Mapped[str] = mapped_column(PathText)
    key: Mapped[str] = mapped_column(PathText)
    expires_at: Mapped[float] = mapped_column(Float, index=True)
    sha256: Mapped[str] = mapped_column(String(64), server_default="")


class ArtifactSecret(Base):
    """One secret of an artifact; the value is sealed."""

    __tablename__ = "artifact_secrets"

    artifact: Mapped[str] = _of_artifact()
    name: Mapped[str] = mapped_column(String(256), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int]


class ArtifactHome(Base):
    """A storage that secrets of an artifact named: its own, as of those that it was made for.

    It stays when the artifact and its workspace are gone, until the files are; `unused_since` tells for how
    long no artifact has had it. `sealed` holds where it is, and the key.
    """

    __tablename__ = "artifact_homes"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    workspace: Mapped[str] = mapped_column(String(128), index=True)
    artifact: Mapped[str] = mapped_column(String(36))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    unused_since: Mapped[float | None] = mapped_column(Float)


class ArtifactGarbage(Base):
    """A folder or file of the object store that nothing refers to any more; it is deleted from `due` on."""

    __tablename__ = "artifact_garbage"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(Text)
    due: Mapped[float] = mapped_column(Float, index=True)
