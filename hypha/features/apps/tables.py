"""Tables of apps: as whom they are started unasked, which workers are off, and which sessions there are."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Float, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from hypha.store.base import Base, Json, of_workspace
from hypha.store.tables import of_replica


class AppGrant(Base):
    """Who lets an app be started in their name; good for the app as it was then, whose `mark` is this."""

    __tablename__ = "app_grants"

    workspace: Mapped[str] = of_workspace()
    app_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    mark: Mapped[str] = mapped_column(String(64))
    is_daemon: Mapped[bool] = mapped_column(Boolean)
    starter: Mapped[Any] = mapped_column(Json)
    created_at: Mapped[float] = mapped_column(Float)


class DisabledWorker(Base):
    """A worker that is not to be chosen."""

    __tablename__ = "app_disabled_workers"

    workspace: Mapped[str] = of_workspace()
    worker_id: Mapped[str] = mapped_column(String(700), primary_key=True)


class AppSession(Base):
    """A session that a server has begun; one that it left when it was killed is found here by the next."""

    __tablename__ = "app_sessions"

    id: Mapped[str] = mapped_column(String(512), primary_key=True)
    workspace: Mapped[str] = of_workspace(is_key=False)
    app_id: Mapped[str] = mapped_column(String(128))
    worker_id: Mapped[str] = mapped_column(String(700))
    token_mark: Mapped[str] = mapped_column(String(64))
    token_until: Mapped[float] = mapped_column(Float)
    created_at: Mapped[float] = mapped_column(Float)


class AppScaling(Base):
    """An app that is scaled: how many instances it is to have, and which replica sees to that."""

    __tablename__ = "app_scaling"

    workspace: Mapped[str] = of_workspace()
    app_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    wanted: Mapped[int] = mapped_column(Integer)
    up_at: Mapped[float] = mapped_column(Float)
    down_at: Mapped[float] = mapped_column(Float)
    replica: Mapped[int | None] = of_replica()
