"""What tables are declared with: the core's in `hypha.store.tables`, a feature's in its folder."""

from __future__ import annotations

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    """The metadata of the whole database.

    A table is declared by importing its module. A store that opens makes those that its database lacks
    (`schema.prepare`), so whoever has imported a table can use it. Times are Unix seconds.
    """


def of_workspace(*, is_key: bool = True) -> Mapped[str]:
    """The column of a row that goes with its workspace; part of the primary key unless told otherwise."""
    return mapped_column(
        String(128), ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=is_key, nullable=False
    )
