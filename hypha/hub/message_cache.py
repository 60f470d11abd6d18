"""The message cache of a peer of the server: where clients put together what is too large for one frame.

See docs/spec/wire-protocol.md#large-messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hypha.errors import HyphaError, InvalidRequest, NotFound
from hypha.hub.unfinished import UnfinishedMessages

if TYPE_CHECKING:
    from hypha.hub.calls import Calls
    from hypha.hub.client import Client
    from hypha.hub.ports import PeerPorts
    from hypha.hub.requests import Request
    from hypha.wire.chunks import Taken

_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "message_cache.create": ("key", "heartbeat", "overwrite"),
    "message_cache.append": ("key", "data", "heartbeat"),
    "message_cache.set": ("key", "index", "data", "heartbeat"),
    "message_cache.process": ("key", "heartbeat"),
    "message_cache.remove": ("key",),
}


class MessageCacheFunctions:
    """The functions of the cache, by the names under which `built-in` has them.

    `heartbeat` among their arguments says that the key is a session of ours, which goes on waiting.
    """

    def __init__(self, ports: PeerPorts, calls: Calls) -> None:
        self.unfinished = UnfinishedMessages(ports.cache_rooms)
        self.functions: Mapping[str, Callable[[Request, list[Any], dict[str, Any]], None]] = {
            "message_cache.create": self._create,
            "message_cache.append": self._append,
            "message_cache.set": self._set,
            "message_cache.remove": self._remove,
        }
        """Those that answer at once. `process` leads on to the message: see `take`."""
        self._calls = calls
        self._time = ports.clock.time

    def _create(self, request: Request, args: list[Any], kwargs: dict[str, Any]) -> None:
        key, heartbeat, overwrite = _given("message_cache.create", args, kwargs)
        self._touch(request.sender, key, heartbeat)
        self.unfinished.of(request.sender).create(key, self._time(), bool(overwrite))

    def _append(self, request: Request, args: list[Any], kwargs: dict[str, Any]) -> None:
        key, data, heartbeat = _given("message_cache.append", args, kwargs)
        self._touch(request.sender, key, heartbeat)
        self.unfinished.of(request.sender).add(key, None, data)

    def _set(self, request: Request, args: list[Any], kwargs: dict[str, Any]) -> None:
        key, index, data, heartbeat = _given("message_cache.set", args, kwargs)
        if not isinstance(index, int):
            raise InvalidRequest("The index of a chunk must be a small non-negative integer.")
        self._touch(request.sender, key, heartbeat)
        self.unfinished.of(request.sender).add(key, index, data)

    def _remove(self, request: Request, args: list[Any], kwargs: dict[str, Any]) -> None:
        (key,) = _given("message_cache.remove", args, kwargs)
        self.unfinished.of(request.sender).remove(key)

    def take(self, request: Request, args: list[Any], kwargs: dict[str, Any]) -> tuple[Taken, Any]:
        """What `process` asks for: a complete message, and the session of ours that it answers, if any.

        Raises:
            NotFound: that session is over. InvalidRequest: chunks are missing, or there is no such message.
        """
        key, heartbeat = _given("message_cache.process", args, kwargs)
        self._touch(request.sender, key, heartbeat)
        return self.unfinished.take(request.sender, key), key if heartbeat else None

    def _touch(self, sender: Client, key: Any, heartbeat: Any) -> None:
        """With `heartbeat` the key is a session of ours, which waits for its full time again."""
        if not heartbeat:
            return
        if not self._calls.awaits(sender, key):
            raise NotFound(f"session does not exist anymore: {str(key)[:80]}")
        self._calls.keep_waiting(sender, key)

    def give_up(
        self, request: Request, name: str, args: list[Any], kwargs: dict[str, Any], error: HyphaError
    ) -> None:
        """A large answer of which a chunk was refused will never come; its sender only sees the refusal."""
        names = _ARGUMENTS.get(name)
        if names is not None and "heartbeat" in names:
            given = dict(zip(names, _given(name, args, kwargs), strict=True))
            if given["heartbeat"]:
                self._calls.give_up(request.sender, given["key"], error.message)


def session_of_chunk(function: str, body: Mapping[str, Any]) -> Any:
    """The session that a call of the cache says its message answers; None for other messages."""
    names, args = _ARGUMENTS.get(function), body.get("args")
    if names is None or "heartbeat" not in names or not isinstance(args, list):
        return None
    kwargs = args[-1] if body.get("with_kwargs") and args and isinstance(args[-1], dict) else {}
    given = dict(zip(names, _given(function, args[:-1] if kwargs else args, kwargs), strict=True))
    return given["key"] if given["heartbeat"] else None


def _given(function: str, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
    """The arguments of a function of the cache, in their order; None for what was not given."""
    names = _ARGUMENTS[function]
    values = [*args, *[None] * (len(names) - len(args))][: len(names)]
    return [kwargs.get(name, value) for name, value in zip(names, values, strict=True)]
