"""The tables of accounts, of what proves something to them, and of workspaces that wait for their person."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hypha.store.base import Base, Json, of_workspace


class AccountRow(Base):
    """One local account; `folded` is its e-mail address as it is compared."""

    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    email: Mapped[str] = mapped_column(String(320))
    folded: Mapped[str] = mapped_column(String(320), index=True, unique=True)
    name: Mapped[str] = mapped_column(Text)
    password: Mapped[str] = mapped_column(Text)
    is_proven: Mapped[bool]
    is_admin: Mapped[bool]
    created_at: Mapped[float] = mapped_column(Float)


class AccountCodeRow(Base):
    """A code given out to somebody, kept as a keyed hash until it is used or over."""

    __tablename__ = "account_codes"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    subject: Mapped[str] = mapped_column(String(320), primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[float] = mapped_column(Float)
    sent_at: Mapped[float] = mapped_column(Float)
    attempts: Mapped[int]
    data: Mapped[Any] = mapped_column(Json)


class KnownPlace(Base):
    """A place from which somebody signed in with an account; neither can be read from its keyed hash."""

    __tablename__ = "known_places"

    mark: Mapped[str] = mapped_column(String(64), primary_key=True)
    account: Mapped[str] = mapped_column(String(128), index=True)
    seen_at: Mapped[float] = mapped_column(Float)


class InvitationRow(Base):
    """An invitation to make an account; only a keyed hash of it is kept."""

    __tablename__ = "invitations"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64), index=True, unique=True)
    email: Mapped[str] = mapped_column(String(320))
    note: Mapped[str] = mapped_column(Text)
    uses: Mapped[int]
    used: Mapped[int]
    created_by: Mapped[str] = mapped_column(String(320))
    created_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float] = mapped_column(Float)


class HeldWorkspace(Base):
    """A workspace made by an account before its e-mail address was proven; it waits for its person."""

    __tablename__ = "held_workspaces"

    workspace: Mapped[str] = of_workspace()
    account: Mapped[str] = mapped_column(String(128), index=True)
    owners: Mapped[Any] = mapped_column(Json)
    held_at: Mapped[float] = mapped_column(Float)
