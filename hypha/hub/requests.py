"""A call to a peer of the server, as it is read from its frame."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from hypha.auth.users import Context
from hypha.wire.values import SERVICES

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.opening import Opened
    from hypha.wire.chunks import Taken

MIN_INTERVAL_S = 0.1
MAX_INTERVAL_S = 3600.0
DEFAULT_INTERVAL_S = 15.0
LOOK_AGAIN_S = 0.02
LONGEST_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Request:
    """Who calls, and how it is answered."""

    sender: Client
    """The client that calls."""
    context: Context
    """The same for the functions: from its connection, never from the frame."""
    address: str
    """The peer, as the caller reaches it; it answers from there."""
    session: str | None
    """The caller's name for the call."""
    resolve: str | None
    """The caller's method that takes the result; None if it wants none."""
    reject: str | None
    """The one that takes an error."""
    heartbeat: str | None
    """The one that hears that the call still runs."""
    interval_s: float
    """How often it wants to hear that."""
    opened: Opened | None = None
    """What is known of its arguments already, if they were opened in a thread."""
    taken: Taken | None = None
    """The message in chunks that it came in, which counts as long as the call runs."""

    def release(self) -> None:
        """The call is over: what came for it counts no more."""
        if self.taken is not None:
            self.taken.release()

    @property
    def is_shut(self) -> bool:
        """Whether the caller does not read what it has asked for before: nothing more is made for it then."""
        return self.sender.pressure is not None

    async def until_open(self) -> None:
        """Wait until the caller has read enough."""
        pause_s = LOOK_AGAIN_S
        while self.sender.pressure is not None and not self.sender.ended:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    @classmethod
    def of(
        cls,
        sender: Client,
        address: str,
        main: Mapping[str, Any],
        extra: Mapping[str, Any],
        opened: Opened | None = None,
        taken: Taken | None = None,
    ) -> Self:
        """Read a call's envelope and body."""
        session = text_in(main, "session")
        promise = extra.get("promise")
        interval = extra.get("t")
        names: dict[str, str | None] = {"resolve": None, "reject": None, "heartbeat": None}
        if isinstance(promise, dict):
            for name in names:
                function = promise.get(name)
                method = function.get("_rmethod") if isinstance(function, dict) else None
                if isinstance(method, str) and not method.startswith(SERVICES):
                    names[name] = method
            interval = promise.get("interval", interval)
        elif promise and session is not None:
            names = {name: f"{session}.{name}" for name in names}
        if not isinstance(interval, int | float) or not interval > 0:
            interval = DEFAULT_INTERVAL_S
        return cls(
            sender,
            sender.context,
            address,
            session,
            names["resolve"],
            names["reject"],
            names["heartbeat"],
            min(max(float(interval), MIN_INTERVAL_S), MAX_INTERVAL_S),
            opened,
            taken,
        )


def text_in(main: Mapping[str, Any], key: str) -> str | None:
    """What an envelope has under a key, if that is text."""
    value = main.get(key)
    return value if isinstance(value, str) else None
