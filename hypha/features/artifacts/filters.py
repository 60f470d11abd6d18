"""What a list of artifacts is asked for, as SQL: filters, keywords and order, alike on every database.

Values are always bound, never part of the text. Keys of manifests match `[A-Za-z0-9_.-]+`, and are bound too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB

from hypha.errors import InvalidRequest
from hypha.features.artifacts.tables import NAME_ORDER, Artifact
from hypha.values import is_number

MAX_CONDITIONS = 100
MAX_DEPTH = 8
MAX_TEXT_CHARS = 1000
MAX_SOUGHT_CHARS = 100
"""Of a keyword or a pattern: looking for it takes its length times that of the manifest, at worst."""
MAX_WILDCARDS = 8
MAX_KEYWORDS = 20

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_EQUAL = ("type", "alias", "created_by")
_RANGES = ("created_at", "last_modified", "download_count", "view_count")

Condition = ColumnElement[bool]


@dataclass
class FilterBuilder:
    """Turns filters into conditions; `parent` is what `parent_id` was resolved to by the caller."""

    is_postgres: bool
    count: int = 0

    # -- the filters of 1.9

    def conditions(self, filters: Mapping[str, Any], parent: str | None = None) -> list[Condition]:
        """The conditions of a `filters` object, one for each of its keys.

        Raises:
            InvalidRequest: a key is none, a value malformed, or there are too many.
        """
        return [self._condition(str(key), value, parent) for key, value in filters.items()]

    def _condition(self, key: str, value: Any, parent: str | None) -> Condition:
        self._note()
        if key in _EQUAL:
            column: ColumnElement[Any] = getattr(Artifact, key)
            return column == _text(value, key)
        if key == "workspace":
            return Artifact.workspace == _text(value, key)
        if key in _RANGES:
            return _range(getattr(Artifact, key), value, key)
        if key == "parent_id":
            return Artifact.parent_id.is_(None) if value is None else Artifact.parent_id == (parent or "")
        if key == "version":
            return _of_state(value)
        if key == "manifest":
            return self.manifest(value)
        if key == "config":
            return self._grants(value)
        raise InvalidRequest(f"Invalid filter key: {key[:100]}")

    def _grants(self, value: Any) -> Condition:
        permissions = value.get("permissions") if isinstance(value, Mapping) and len(value) == 1 else None
        if not isinstance(permissions, Mapping):
            raise InvalidRequest("The filter config is {'permissions': {who: level}}.")
        found = []
        for who, level in permissions.items():
            self._note()
            at = _inside(self.is_postgres, Artifact.config, "permissions", _text(who, "config.permissions"))
            found.append(self._is(at, _text(level, "config.permissions")))
        return and_(literal(True), *found)

    def manifest(self, wanted: Any, depth: int = 0) -> Condition:
        """The condition of a `manifest` filter: fields with values, `$and` and `$or`.

        Raises:
            InvalidRequest: it is malformed, too deep or too long.
        """
        if not isinstance(wanted, Mapping) or depth > MAX_DEPTH:
            raise InvalidRequest(
                f"The filter manifest is an object of fields, at most {MAX_DEPTH} levels deep."
            )
        parts = []
        for key, value in wanted.items():
            self._note()
            if key in ("$and", "$or"):
                if not isinstance(value, list | tuple) or not value:
                    raise InvalidRequest(f"{key} takes a list of filters.")
                inner = [self.manifest(each, depth + 1) for each in value]
                parts.append(and_(*inner) if key == "$and" else or_(*inner))
            else:
                parts.append(self._field(str(key), value))
        return and_(literal(True), *parts)

    def _field(self, key: str, value: Any) -> Condition:
        at = _inside(self.is_postgres, Artifact.manifest, checked_key(key))
        if isinstance(value, str) and "*" in value:
            return self._like(at, value)
        if isinstance(value, list | tuple):
            return and_(literal(True), *(self._holds(at, each) for each in self._noted(value)))
        if not isinstance(value, Mapping):
            return self._is(at, value)
        parts = []
        for operator, operand in value.items():
            if operator == "$like":
                parts.append(self._like(at, _text(operand, "$like")))
            elif operator in ("$in", "$all") and isinstance(operand, list | tuple):
                held = [self._holds(at, each) for each in self._noted(operand)]
                parts.append(or_(literal(False), *held) if operator == "$in" else and_(literal(True), *held))
            else:
                raise InvalidRequest(
                    f"Invalid filter for manifest field {key[:100]!r}: use a value, a list, or $like, $in, "
                    "$all."
                )
        return and_(literal(True), *parts)

    # -- values in JSON, where the databases differ

    def _is(self, at: _Place, value: Any) -> Condition:
        if value is None:
            return or_(at.kind.is_(None), at.kind == "null")
        if isinstance(value, bool):
            return _as_bool(at, value, self.is_postgres)
        if isinstance(value, str):
            return and_(_is_text(at, self.is_postgres), at.text == _text(value, "manifest"))
        return and_(_is_number(at, self.is_postgres), at.number == _number(value))

    def _holds(self, at: _Place, value: Any) -> Condition:
        """Whether an array has a value; a single one is as an array of it."""
        if not isinstance(value, str | bool | int | float):
            raise InvalidRequest("Lists in a manifest filter hold texts, numbers, true and false.")
        if isinstance(value, str):
            _text(value, "manifest")
        elif not isinstance(value, bool):
            value = _number(value)
        if self.is_postgres:
            return at.json.op("@>", is_comparison=True)(type_coerce(value, JSONB))
        each = func.json_each(Artifact.manifest, at.path).table_valued("value", "type")
        is_same = each.c.value == (int(value) if isinstance(value, bool) else value)
        kinds = (
            ["true", "false"] if isinstance(value, bool) else ["text"] if isinstance(value, str) else _NUMBERS
        )
        found = select(literal(1)).select_from(each).where(is_same, each.c.type.in_(kinds))
        return found.exists()

    def _like(self, at: _Place, pattern: str) -> Condition:
        _sought(pattern, "A pattern")
        if pattern.count("*") > MAX_WILDCARDS:
            raise InvalidRequest(f"A pattern has at most {MAX_WILDCARDS} '*'.")
        is_like = at.text.ilike(_escaped(pattern).replace("*", "%"), escape="\\")
        return and_(_is_text(at, self.is_postgres), is_like)

    # -- keywords

    def keywords(self, words: Sequence[Any]) -> list[Condition]:
        """Each word has to be somewhere in the text of the manifest, in any case.

        Raises:
            InvalidRequest: there are too many, or they are no texts.
        """
        if len(words) > MAX_KEYWORDS:
            raise InvalidRequest(f"At most {MAX_KEYWORDS} keywords are looked for.")
        whole = cast(Artifact.manifest, Text) if self.is_postgres else type_coerce(Artifact.manifest, Text)
        return [whole.ilike(f"%{_escaped(_sought(word, 'A keyword'))}%", escape="\\") for word in words]

    # -- bounds

    def _note(self) -> None:
        self.count += 1
        if self.count > MAX_CONDITIONS:
            raise InvalidRequest(f"A filter has at most {MAX_CONDITIONS} conditions.")

    def _noted(self, values: Sequence[Any]) -> Iterator[Any]:
        for value in values:
            self._note()
            yield value


@dataclass(frozen=True, slots=True)
class _Place:
    """A value in a JSON column: itself, its kind, and what it is as text and as number."""

    json: ColumnElement[Any]
    kind: ColumnElement[Any]
    text: ColumnElement[Any]
    number: ColumnElement[Any]
    path: str


_NUMBERS = ["integer", "real"]


def _inside(is_postgres: bool, column: Any, *keys: str) -> _Place:
    path = "$" + "".join('."' + key.replace('"', "") + '"' for key in keys)
    if not is_postgres:
        value = func.json_extract(column, path)
        return _Place(value, func.json_type(column, path), value, value, path)
    found: ColumnElement[Any] = type_coerce(column, JSONB)
    for key in keys:
        found = found.op("->", return_type=JSONB())(literal(key, Text))
    kind = func.jsonb_typeof(found)
    as_text = found.op("#>>", return_type=Text())(literal("{}", Text).cast(_text_array()))
    number = case((kind == "number", cast(as_text, _numeric())))
    return _Place(found, kind, as_text, number, path)


def _text_array() -> Any:
    from sqlalchemy.dialects.postgresql import ARRAY

    return ARRAY(Text)


def _numeric() -> Any:
    from sqlalchemy import Double

    return Double()


def _is_text(at: _Place, is_postgres: bool) -> Condition:
    return at.kind == ("string" if is_postgres else "text")


def _is_number(at: _Place, is_postgres: bool) -> Condition:
    return at.kind == "number" if is_postgres else at.kind.in_(_NUMBERS)


def _as_bool(at: _Place, value: bool, is_postgres: bool) -> Condition:
    word = "true" if value else "false"
    return and_(at.kind == "boolean", at.text == word) if is_postgres else at.kind == word


def _of_state(value: Any) -> Condition:
    if value == "stage":
        return Artifact.intent.is_not(None)
    if value in ("latest", "committed"):
        return Artifact.version_count > 0
    raise InvalidRequest("The filter version is 'stage', 'latest' or 'committed'.")


def _range(column: ColumnElement[Any], value: Any, key: str) -> Condition:
    least, most = value if isinstance(value, list | tuple) and len(value) == 2 else (value, None)
    if isinstance(value, list | tuple) and len(value) != 2:
        raise InvalidRequest(f"The filter {key} is a number, or [least, most].")
    parts = []
    if least is not None:
        parts.append(column >= _number(least))
    if most is not None:
        parts.append(column <= _number(most))
    return and_(literal(True), *parts)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS or "\x00" in value:
        raise InvalidRequest(f"{what} takes texts of up to {MAX_TEXT_CHARS} characters.")
    return value


def _sought(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_SOUGHT_CHARS or "\x00" in value:
        raise InvalidRequest(f"{what} is a text of up to {MAX_SOUGHT_CHARS} characters.")
    return value


def _number(value: Any) -> float:
    if not is_number(value) or abs(value) > 1e18:
        raise InvalidRequest("A filter takes texts, numbers, true, false and null.")
    return value


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def checked_key(key: str) -> str:
    """The name of a field of a manifest or config.

    Raises:
        InvalidRequest: it has other characters than letters, digits, `_`, `.` and `-`.
    """
    if not _KEY.fullmatch(key):
        raise InvalidRequest(f"Invalid field {key[:100]!r}: it has letters, digits, '_', '.' and '-'.")
    return key


# -- order

_COLUMNS = ("id", "view_count", "download_count", "last_modified", "created_at")


def order_of(order_by: object, is_postgres: bool) -> list[ColumnElement[Any]]:
    """What to sort by: `field`, `field<`, `field>` or `-field`; always the id at the end.

    Unknown fields are as `id`. In JSON, numbers come before texts, and what is neither last.

    Raises:
        InvalidRequest: the name of a field of the manifest or config is malformed.
    """
    said, field = _field_of(order_by)
    is_falling = said.endswith(">") or said.startswith("-")
    column, dot, key = field.partition(".")
    keys: list[ColumnElement[Any]]
    if field == "manifest.name":
        keys = [literal_column(text) for text in NAME_ORDER["postgresql" if is_postgres else "sqlite"]]
    elif dot and column in ("manifest", "config"):
        keys = _json_order(_inside(is_postgres, getattr(Artifact, column), checked_key(key)), is_postgres)
    else:
        keys = [getattr(Artifact, field if field in _COLUMNS else "id")]
    if field in _COLUMNS[1:] or dot:
        keys.append(Artifact.id)  # type: ignore[arg-type]
    return [each.desc() if is_falling else each.asc() for each in keys]


def is_indexed(order_by: object) -> bool:
    """Whether an index of lists has this order, so that nothing has to be sorted."""
    field = _field_of(order_by)[1]
    is_counter, is_inside = (
        field in ("view_count", "download_count"),
        field.startswith(("manifest.", "config.")),
    )
    return field == "manifest.name" or not (is_counter or is_inside)


def _field_of(order_by: object) -> tuple[str, str]:
    said = order_by if isinstance(order_by, str) else ""
    return said, said.removeprefix("-").rstrip("<>")


def _json_order(at: _Place, is_postgres: bool) -> list[ColumnElement[Any]]:
    is_number_, is_text = _is_number(at, is_postgres), _is_text(at, is_postgres)
    rank = case((is_number_, 0), (is_text, 1), else_=2)
    number = func.coalesce(case((is_number_, at.number)), 0)
    text: ColumnElement[Any] = func.coalesce(case((is_text, at.text)), "")
    return [rank, number, text.collate("C") if is_postgres else text]
