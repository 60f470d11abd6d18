"""What is told when no answer can tell it: to the sender as an event `error`, and in the log.

Both libraries write that event into their own logs, as an error, and programs may listen to it
(docs/spec/wire-protocol.md#refused-events).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypha.clock import Clock
    from hypha.errors import HyphaError
    from hypha.hub.client import Client

logger = logging.getLogger(__name__)

MAX_LOGGED_PER_S = 5
"""Lines of the log about frames that come to nothing."""
MAX_TOLD_PER_S = 5
"""Of one sender: a flood of refused events makes no flood of errors."""

_Count = tuple[int, int]
"""A second of the loop's time, and how many were in it."""


class Notices:
    """Tells a few times a second that a frame came to nothing."""

    def __init__(self, clock: Clock) -> None:
        self._time = clock.time
        self._logged: _Count = (0, 0)

    def event_refused(self, sender: Client, kind: str, error: HyphaError) -> None:
        """Tell the sender of an event, and the log, why nobody got it."""
        sender.noticed = self._counted(sender.noticed)
        is_told = sender.noticed[1] <= MAX_TOLD_PER_S
        level = logging.INFO if is_told and self.may_log() else logging.DEBUG
        logger.log(level, "Event %r of %s refused: %s", kind[:80], sender.address, error)
        if is_told:
            text = f"Event {kind[:80]!r} was not sent: {error.rpc_text}"
            sender.tell({"type": "error", "to": sender.address, "message": text})

    def may_log(self) -> bool:
        """True for a few lines a second: broken frames must not fill the log."""
        self._logged = self._counted(self._logged)
        return self._logged[1] <= MAX_LOGGED_PER_S

    def _counted(self, count: _Count) -> _Count:
        second = int(self._time())
        return (second, count[1] + 1) if count[0] == second else (second, 1)
