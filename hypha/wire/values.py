"""Tagged values (`_rtype`, wire-protocol 5) as the server sees them.

The server decodes values only as far as it must: tags stay as they are, functions get an
absolute target so that they can be passed on.
"""

from __future__ import annotations

from typing import Any

from hypha.errors import InvalidRequest

MAX_DEPTH = 128


def absolute_targets(value: Any, workspace: str, depth: int = 0) -> Any:
    """Complete relative `_rtarget`s in a decoded value, in place, from its sender's workspace.

    Raises:
        InvalidRequest: the value is nested deeper than 128 levels.
    """
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"The value is nested deeper than {MAX_DEPTH} levels.")
    if type(value) is dict:
        for key, item in value.items():
            if type(item) is dict or type(item) is list:
                absolute_targets(item, workspace, depth + 1)
            elif key == "_rtarget" and isinstance(item, str) and "/" not in item:
                value[key] = f"{workspace}/{item}"
    elif type(value) is list:
        for item in value:
            if type(item) is dict or type(item) is list:
                absolute_targets(item, workspace, depth + 1)
    return value


def is_tagged(value: Any, tag: str) -> bool:
    """True for a map with this `_rtype`."""
    return isinstance(value, dict) and value.get("_rtype") == tag


def method_value(
    target: str, method: str, server_url: str, name: str, schema: dict[str, Any] | None, doc: str | None
) -> dict[str, Any]:
    """Encode a function of the server as its clients expect it (wire-protocol 5.2, 9.2)."""
    value = {
        "_rtype": "method",
        "_rserver": server_url,
        "_rtarget": target,
        "_rmethod": method,
        "_rpromise": "*",
        "_rname": name,
        "_rasync": True,
        "_rdoc": doc,
    }
    if schema:
        value["_rschema"] = schema
    return value
