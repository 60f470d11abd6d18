"""Functions of the server that the callee of one call may call back while that call runs.

The same as a client's session functions (docs/spec/wire-protocol.md#sessions): they live under a random
session name, only the callee may call them, and they end with the call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

from hypha.errors import FunctionNotFound, InvalidArguments, LimitReached
from hypha.ids import random_id
from hypha.wire.values import method_value

MAX_RUNNING_PER_SESSION = 64

Function = Callable[..., Awaitable[Any]]


class Session:
    """The functions of one call; use it as a context manager around the call.

    Args:
        owner: address of the callee, the only client that may call.
        address: the address under which the callee reaches the server.
    """

    def __init__(
        self, sessions: Sessions, owner: str, address: str, server_url: str, functions: Mapping[str, Function]
    ) -> None:
        self.id = random_id(20)
        """Its name on the wire: a secret between the server and the callee."""
        self.owner = owner
        self._sessions = sessions
        self._address = address
        self._server_url = server_url
        self._functions = functions
        self._running = 0
        """Calls of its functions that run now."""

    def __enter__(self) -> Self:
        self._sessions.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sessions.remove(self)

    def values(self) -> dict[str, dict[str, Any]]:
        """The functions as they go into the arguments of the call."""
        return {
            name: method_value(self._address, f"{self.id}.{name}", self._server_url, name, None, None)
            for name in self._functions
        }

    async def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Run one function for the callee."""
        function = self._functions.get(name)
        if function is None:
            raise FunctionNotFound(f"Function not found: {name[:200]}")
        if kwargs:
            raise InvalidArguments(f"{name} takes no keywords.")
        if self._running >= MAX_RUNNING_PER_SESSION:
            raise LimitReached(f"More than {MAX_RUNNING_PER_SESSION} calls of this request are running.")
        self._running += 1
        try:
            return await function(*args)
        except TypeError:
            if len(args) > 1:
                raise InvalidArguments(f"{name} takes at most one argument.") from None
            raise
        finally:
            self._running -= 1


class Sessions:
    """The sessions of one peer that are open now."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}
        """By id."""

    def add(self, session: Session) -> None:
        """Let the callee call from now on."""
        self._open[session.id] = session

    def remove(self, session: Session) -> None:
        """Refuse further calls."""
        self._open.pop(session.id, None)

    def find(self, name: str, caller: str) -> Session | None:
        """The open session of that name, if it is the caller's."""
        session = self._open.get(name)
        return session if session is not None and session.owner == caller else None
