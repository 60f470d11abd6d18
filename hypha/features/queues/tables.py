"""The table of the queues."""

from __future__ import annotations

from sqlalchemy import Float, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from hypha.store.base import Base, of_workspace


class Task(Base):
    """A task that waits in a queue, or that a consumer holds on lease until `leased_until`."""

    __tablename__ = "queue_tasks"
    __table_args__ = (Index("ix_queue_tasks_lookup", "workspace", "queue", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    workspace: Mapped[str] = of_workspace(is_key=False)
    queue: Mapped[str] = mapped_column(String(128))
    data: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int]
    created_at: Mapped[float] = mapped_column(Float)
    receipt: Mapped[str | None] = mapped_column(String(64))
    leased_until: Mapped[float | None] = mapped_column(Float)
    attempts: Mapped[int]
