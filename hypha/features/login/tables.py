"""The table of logins that wait for a person."""

from __future__ import annotations

from sqlalchemy import Float, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from hypha.store.base import Base


class PendingLogin(Base):
    """A program that waits for a person to sign in; neither key nor token can be read from it.

    `answer` is what was reported, sealed with the key that only the program and the page know.
    """

    __tablename__ = "pending_logins"

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    workspace: Mapped[str | None] = mapped_column(String(128))
    token_life_s: Mapped[float | None] = mapped_column(Float)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    expires_at: Mapped[float] = mapped_column(Float, index=True)
