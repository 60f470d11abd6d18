"""JSON schemas that collections have for the manifests of their children."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

import orjson

from hypha.errors import InvalidRequest
from hypha.features.artifacts.patterns import work_of
from hypha.limits.crew import Crew

SHOWN_CHARS = 500
MAX_PARTS = 100_000
"""Of a schema with everything that it refers to in its place, and of its patterns."""

MAX_WORK = 100_000_000
"""Parts of a schema times bytes of a manifest: so long may it take to check one against the other."""

MAX_CHAIN = 64
"""References that lead from one to the next."""


async def check_schema_beside(crew: Crew, schema: object) -> None:
    """`check_schema` in a thread: a large one takes a tenth of a second. Raises as it does."""
    if schema is not None:
        await crew.work(partial(check_schema, schema))


async def check_against_beside(crew: Crew, schema: object, manifest: Any) -> None:
    """`check_against` in a thread. Raises as it does."""
    if schema:
        await crew.work(partial(check_against, schema, manifest))


def check_schema(schema: object) -> None:
    """Refuse a `collection_schema` that is no JSON schema, refers to another document, or grows too large.

    Raises:
        InvalidRequest.
    """
    if schema is not None:
        _Expansion(schema).check()
        _validator(schema)


def check_against(schema: object, manifest: Any) -> None:
    """Refuse a manifest that does not fit the schema of its collection.

    Raises:
        InvalidRequest: "ValidationError: …", with the first thing that does not fit.
    """
    if not schema:
        return
    parts, size_bytes = _Expansion(schema).check(), len(orjson.dumps(manifest))
    if parts * size_bytes > MAX_WORK:
        raise InvalidRequest(
            f"ValidationError: a manifest of {size_bytes:,} bytes cannot be checked against a schema of "
            f"{parts:,} parts: make one of them smaller."
        )
    import jsonschema_rs  # some megabytes, for few collections

    try:
        _validator(schema).validate(manifest)
    except jsonschema_rs.ValidationError as error:
        where = "/".join(str(part) for part in error.instance_path)
        told = f"ValidationError: {error.message[:SHOWN_CHARS]}"
        raise InvalidRequest(f"{told} (at {where[:200]})" if where else told) from None


class _Expansion:
    """How large a schema is with what its references mean in their place.

    A reference to itself has no end, and ten that double each other are a thousand: neither is let in.
    """

    def __init__(self, schema: object) -> None:
        self._schema = schema
        self._sizes: dict[str, int] = {}
        self._open: set[str] = set()
        version = schema.get("$schema") if isinstance(schema, dict) else None
        self._bases = ("$id", "id") if isinstance(version, str) and "draft-0" in version else ("$id",)

    def check(self) -> int:
        """How many parts it has; raises InvalidRequest if it is too large or too deep."""
        try:
            return self._size(self._schema)
        except RecursionError:
            raise InvalidRequest(
                "config.collection_schema is nested too deep, with all that it refers to."
            ) from None

    def _size(self, part: object) -> int:
        size = 1
        for inner in _inside(part):
            size += self._size(inner)
        if isinstance(part, dict):
            if any(word in part for word in ("$dynamicRef", "$recursiveRef")):
                raise InvalidRequest("config.collection_schema may refer to its own parts with $ref alone.")
            if part is not self._schema and any(isinstance(part.get(word), str) for word in self._bases):
                raise InvalidRequest("Parts of config.collection_schema have no $id of their own.")
            size += sum(work_of(pattern) for pattern in _patterns(part))
            if isinstance(part.get("$ref"), str):
                size += self._target_size(part["$ref"])
        if size > MAX_PARTS:
            raise InvalidRequest(
                f"config.collection_schema has more than {MAX_PARTS:,} parts with all that it refers to."
            )
        return size

    def _target_size(self, reference: str) -> int:
        if reference in self._open or len(self._open) >= MAX_CHAIN:
            raise InvalidRequest(
                f"config.collection_schema refers to itself, or on and on: {reference[:100]}"
            )
        if reference not in self._sizes:
            self._open.add(reference)
            self._sizes[reference] = self._size(self._target(reference))
            self._open.discard(reference)
        return self._sizes[reference]

    def _target(self, reference: str) -> object:
        at: Any = self._schema
        if not reference.startswith("#/"):
            raise InvalidRequest("config.collection_schema may refer to its own parts with '#/…' alone.")
        for word in reference[2:].split("/"):
            word = unquote(word).replace("~1", "/").replace("~0", "~")
            if isinstance(at, list) and word.isascii() and word.isdigit() and len(word) < 6:
                at = at[int(word)] if int(word) < len(at) else None
            else:
                at = at.get(word) if isinstance(at, dict) else None
        if not isinstance(at, dict | bool):
            raise InvalidRequest(f"config.collection_schema has no part {reference[:100]}.")
        return at


def _inside(part: object) -> Iterator[object]:
    if isinstance(part, dict):
        yield from part.values()
    elif isinstance(part, list):
        yield from part


def _patterns(part: dict[str, Any]) -> Iterator[str]:
    if isinstance(part.get("pattern"), str):
        yield part["pattern"]
    if isinstance(part.get("patternProperties"), dict):
        yield from part["patternProperties"]


def _validator(schema: Any) -> Any:
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(
            schema,
            retriever=_refuse,
            pattern_options=jsonschema_rs.RegexOptions(),  # linear time: `work_of` each letter
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, TypeError) as error:
        raise InvalidRequest(
            f"config.collection_schema is no JSON schema: {str(error)[:SHOWN_CHARS]}"
        ) from None


def _refuse(address: str) -> Any:
    raise ValueError(f"the schema refers to {address[:200]}, and nothing is fetched from elsewhere")
