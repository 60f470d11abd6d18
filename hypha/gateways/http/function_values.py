"""No functions from HTTP callers, and nothing that the callee's library cannot read.

A client that gets a function value calls it with rights of its own, and nobody behind an HTTP request could
be called back. So arguments that come by HTTP hold none; those that the server makes for a request itself
(`receive` and `send` of an application) are put in afterwards. And some keys of maps end a program in Node
(`hypha.wire.readable`).
"""

from __future__ import annotations

from typing import Any

from hypha.errors import InvalidRequest
from hypha.wire.values import BARRED_KEYS, is_flat, is_function, maps_in

_TAGS = frozenset({"method", "function", "generator", "iterator", "interface", "callback"})


def refuse_functions(*values: Any, any_keys: bool = False) -> None:
    """Check decoded values; with `any_keys`, their maps may have keys that are no text.

    Raises:
        InvalidRequest: one holds a function value, or a key that some library cannot read, or is nested
            deeper than 100 levels.
    """
    for value in values:
        if value and (any_keys or not is_flat(value)):
            break
    else:
        return
    for item in maps_in(list(values)):
        tag = item.get("_rtype")
        if is_function(item) or (isinstance(tag, str) and tag in _TAGS):
            raise InvalidRequest(
                f"An HTTP request cannot carry functions (_rtype {str(tag)[:40]!r}).",
                hint="Call over WebSocket to hand over functions of your own.",
            )
        for key in BARRED_KEYS.intersection(item):
            raise InvalidRequest(f"A map has the key '{key}', which JavaScript cannot read; rename it.")
        if any_keys and not all(type(key) is str for key in item):
            raise InvalidRequest("A map has a key that is not text.")
