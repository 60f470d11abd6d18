"""No functions from HTTP callers.

A client that gets a function value calls it with rights of its own, and nobody behind an HTTP request could
be called back. So arguments that come by HTTP hold none; those that the server makes for a request itself
(`receive` and `send` of an application) are put in afterwards.
"""

from __future__ import annotations

from typing import Any

from hypha.errors import InvalidRequest
from hypha.wire.values import is_flat, is_function, maps_in

_TAGS = frozenset({"method", "function", "generator", "iterator", "interface", "callback"})


def refuse_functions(*values: Any) -> None:
    """Check decoded values.

    Raises:
        InvalidRequest: one holds a function value, or is nested deeper than 100 levels.
    """
    for value in values:
        if value and not is_flat(value):
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
