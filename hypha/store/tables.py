"""The tables of the core; migrations bring older databases to this shape. Times are Unix seconds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, LargeBinary, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hypha.store.base import Base, Json, of_workspace

_ReplicaId = BigInteger().with_variant(Integer, "sqlite")


def of_replica() -> Mapped[int | None]:
    """The column of a row for which a replica answers; NULL once its lease has ended, or if none ever did."""
    return mapped_column(
        _ReplicaId, ForeignKey("replicas.id", ondelete="SET NULL"), index=True, nullable=True
    )


class Replica(Base):
    """One run of a server that works with this database; gone with its lease.

    Ids are never used again. `expires_at` is told by the clock of the database; NULL: the lease ends when
    another server has the claim on the database.
    """

    __tablename__ = "replicas"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(_ReplicaId, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(320))
    address: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[float | None] = mapped_column(Float)


class Workspace(Base):
    """One workspace; owners, environment, bookmarks and types are rows of their own."""

    __tablename__ = "workspaces"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    persistent: Mapped[bool]
    read_only: Mapped[bool]
    icon: Mapped[str | None] = mapped_column(Text)
    covers: Mapped[Any] = mapped_column(Json, nullable=True)
    docs: Mapped[Any] = mapped_column(Json, nullable=True)
    config: Mapped[Any] = mapped_column(Json, nullable=True)
    created_by: Mapped[str | None] = mapped_column(String(320), index=True)
    created_at: Mapped[float] = mapped_column(Float)
    replica: Mapped[int | None] = of_replica()


class WorkspaceOwner(Base):
    """An owner of a workspace: a user id or an e-mail address; `folded` compares e-mails."""

    __tablename__ = "workspace_owners"

    workspace: Mapped[str] = of_workspace()
    position: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(320), index=True)
    folded: Mapped[str] = mapped_column(String(320), index=True)


class EnvironmentVariable(Base):
    """One variable of a workspace; the value is sealed."""

    __tablename__ = "workspace_environment"

    workspace: Mapped[str] = of_workspace()
    key: Mapped[str] = mapped_column(String(256), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int]


class BookmarkRow(Base):
    """One bookmark of a user's own workspace."""

    __tablename__ = "bookmarks"

    workspace: Mapped[str] = of_workspace()
    bookmark_type: Mapped[str] = mapped_column(String(32), primary_key=True)
    id: Mapped[str] = mapped_column(String(512), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    config: Mapped[Any] = mapped_column(Json, nullable=True)
    created_at: Mapped[float] = mapped_column(Float)
    size: Mapped[int]


class ServiceTypeRow(Base):
    """One service type of a workspace."""

    __tablename__ = "service_types"

    workspace: Mapped[str] = of_workspace()
    id: Mapped[str] = mapped_column(String(256), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    definition: Mapped[Any] = mapped_column(Json, nullable=True)
    description: Mapped[str] = mapped_column(Text)
    config: Mapped[Any] = mapped_column(Json, nullable=True)
    docs: Mapped[Any] = mapped_column(Json, nullable=True)
    created_at: Mapped[float] = mapped_column(Float)
    size: Mapped[int]


class Event(Base):
    """One entry of the event log."""

    __tablename__ = "event_logs"
    __table_args__ = (Index("ix_event_logs_lookup", "workspace", "user_id", "event_type", "timestamp"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    workspace: Mapped[str] = of_workspace(is_key=False)
    user_id: Mapped[str] = mapped_column(String(320))
    event_type: Mapped[str] = mapped_column(String(256))
    timestamp: Mapped[float] = mapped_column(Float)
    data: Mapped[Any] = mapped_column(Json, nullable=True)
    size: Mapped[int]


class StoredUse(Base):
    """How many entries of one kind a workspace keeps, and their bytes."""

    __tablename__ = "stored_use"

    workspace: Mapped[str] = of_workspace()
    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)


class RevokedToken(Base):
    """The fingerprint of a revoked token, kept until the token would have expired."""

    __tablename__ = "revoked_tokens"

    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[float] = mapped_column(Float)


class Subscription(Base):
    """What one client listens to; outlives a restart of the server, not the client."""

    __tablename__ = "subscriptions"

    workspace: Mapped[str] = mapped_column(String(128), primary_key=True)
    client_id: Mapped[str] = mapped_column(String(256), primary_key=True)
    names: Mapped[Any] = mapped_column(Json)
    replica: Mapped[int | None] = of_replica()


class Fact(Base):
    """A fact about the whole deployment, such as its manager id."""

    __tablename__ = "facts"

    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Block(Base):
    """A user or address that is kept out for a while."""

    __tablename__ = "blocklist"

    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    subject: Mapped[str] = mapped_column(String(320), primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(320))
    created_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float] = mapped_column(Float)


class IssuedToken(Base):
    """A token that was handed out, as its makers see it; the token itself is kept nowhere."""

    __tablename__ = "issued_tokens"

    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_by: Mapped[str] = mapped_column(String(320), index=True)
    user_id: Mapped[str] = mapped_column(String(320))
    workspace: Mapped[str] = mapped_column(String(128), index=True)
    permission: Mapped[str] = mapped_column(String(16))
    client_id: Mapped[str | None] = mapped_column(String(256))
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float)
    last_used_at: Mapped[float | None] = mapped_column(Float)
    expires_at: Mapped[float] = mapped_column(Float, index=True)
    kind: Mapped[str] = mapped_column(String(16), server_default="generated")
    made_with: Mapped[str | None] = mapped_column(String(64), index=True)


class AuditEntry(Base):
    """One security event, or several equal ones: the row says how many, and when the first and the last came.

    `ring` says which entries displace each other.
    """

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    timestamp: Mapped[float] = mapped_column(Float, index=True)
    action: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(320))
    workspace: Mapped[str] = mapped_column(String(128))
    address: Mapped[str] = mapped_column(String(64))
    detail: Mapped[Any] = mapped_column(Json, nullable=True)
    count: Mapped[int]
    first: Mapped[float] = mapped_column(Float)
    ring: Mapped[int] = mapped_column(SmallInteger)
