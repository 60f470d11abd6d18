"""The tables of files: uploads that are not complete, files that end, folders whose workspace has ended."""

from __future__ import annotations

from sqlalchemy import Float, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hypha.store.base import Base, of_workspace


class ObjectUpload(Base):
    """An upload in parts; `id` is that of the object store."""

    __tablename__ = "object_uploads"

    id: Mapped[str] = mapped_column(String(512), primary_key=True)
    workspace: Mapped[str] = of_workspace(is_key=False)
    key: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[float] = mapped_column(Float, index=True)


class ObjectExpiry(Base):
    """When it is time to see whether an object has ended; whether it has, the object itself says."""

    __tablename__ = "object_expiries"

    key: Mapped[str] = mapped_column(String(1024), primary_key=True)
    expires_at: Mapped[float] = mapped_column(Float, index=True)


class EndedFolder(Base):
    """The folder of a workspace that has ended, as long as something may be left in it."""

    __tablename__ = "ended_folders"

    workspace: Mapped[str] = mapped_column(String(128), primary_key=True)
    ended_at: Mapped[float] = mapped_column(Float)
