"""What tables are declared with: the core's in `hypha.store.tables`, a feature's in its folder."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Dialect, ForeignKey, String, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine


class _Json(TypeDecorator[Any]):
    """JSON; PostgreSQL's own, whose dialect is imported only there: it takes a megabyte."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type of the database at hand."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(self.impl_instance)
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB(none_as_null=True))

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """As JSON compares."""
        return self.impl_instance.coerce_compared_value(op, value)


Json = _Json()


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
