"""Lists of artifacts in the order of their index, in collections and in none, on every database."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

BEFORE = {
    "listed": ["id"],
    "created": ["created_at", "id"],
    "modified": ["last_modified", "id"],
}
INSIDE, OUTSIDE = "parent_id IS NOT NULL", "parent_id IS NULL"
_SQLITE, _POSTGRES = "'$.\"name\"'", "manifest -> 'name'"
NAME_ORDER = {
    "sqlite": (
        f"(CASE WHEN json_type(manifest, {_SQLITE}) IN ('integer', 'real') THEN 0"
        f" WHEN json_type(manifest, {_SQLITE}) = 'text' THEN 1 ELSE 2 END)",
        f"(coalesce(CASE WHEN json_type(manifest, {_SQLITE}) IN ('integer', 'real')"
        f" THEN json_extract(manifest, {_SQLITE}) END, 0))",
        f"(coalesce(CASE WHEN json_type(manifest, {_SQLITE}) = 'text'"
        f" THEN substr(json_extract(manifest, {_SQLITE}), 1, 256) END, ''))",
    ),
    "postgresql": (
        f"(CASE WHEN jsonb_typeof({_POSTGRES}) = 'number' THEN 0"
        f" WHEN jsonb_typeof({_POSTGRES}) = 'string' THEN 1 ELSE 2 END)",
        f"(coalesce(CASE WHEN jsonb_typeof({_POSTGRES}) = 'number'"
        f" THEN CAST(manifest ->> 'name' AS double precision) END, 0))",
        f"(coalesce(CASE WHEN jsonb_typeof({_POSTGRES}) = 'string'"
        f" THEN left(manifest ->> 'name', 256) END, '') COLLATE \"C\")",
    ),
}


def _indexes() -> list[tuple[str, list[Any], str]]:
    """Name, columns and condition of each new index."""
    dialect = op.get_bind().dialect.name
    made: list[tuple[str, list[Any], str]] = [
        ("in_listed", ["workspace", "parent_id", "id", "version_count"], f"{INSIDE} AND version_count > 0"),
        ("top_listed", ["workspace", "id", "parent_id", "version_count"], f"{OUTSIDE} AND version_count > 0"),
    ]
    for name, columns in (
        ("created", ["created_at"]),
        ("modified", ["last_modified"]),
        (f"named_{dialect}", [text(key) for key in NAME_ORDER[dialect]]),
    ):
        made.append((f"in_{name}", ["workspace", "parent_id", *columns, "id"], INSIDE))
        made.append((f"top_{name}", ["workspace", *columns, "id"], OUTSIDE))
    return made


def upgrade() -> None:
    """Put two indexes in the place of each, and add those of names."""
    for name in BEFORE:
        op.drop_index(f"ix_artifacts_{name}", table_name="artifacts")
    for name, columns, where in _indexes():
        condition = text(where)
        op.create_index(
            f"ix_artifacts_{name}", "artifacts", columns, sqlite_where=condition, postgresql_where=condition
        )


def downgrade() -> None:
    """Back to one index each."""
    for name, _, _ in _indexes():
        op.drop_index(f"ix_artifacts_{name}", table_name="artifacts")
    for name, columns in BEFORE.items():
        op.create_index(f"ix_artifacts_{name}", "artifacts", ["workspace", "parent_id", *columns])
