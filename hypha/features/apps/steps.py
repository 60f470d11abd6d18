"""What a caller is told step by step while it waits for a start or an install."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hypha.errors import FrameTooLarge, HyphaError, InvalidArguments, InvalidRequest
from hypha.wire.values import is_function, maps_in
from hypha.workspaces.values import plain

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.features.ports import ServicesPort

MAX_MESSAGE_CHARS = 2_000
MAX_MESSAGES = 1_000
MAX_EVENTS = 10_000
"""What comes of a script while it runs."""
MAX_EVENT_BYTES = 256 * 1024
"""Larger ones are left out."""
TELL_TIMEOUT_S = 5.0
_KINDS = frozenset({"info", "success", "warning", "error"})


class Steps:
    """Tells the caller's function, one message after the other, until that fails once or heard enough."""

    def __init__(
        self, services: ServicesPort, callback: object, context: Context, most: int = MAX_MESSAGES
    ) -> None:
        """Raise InvalidArguments if the callback is no function of the caller's own."""
        if callback is not None and not services.is_callback(callback, context):
            raise InvalidArguments(
                "progress_callback is a function of the client that calls; by HTTP there is none."
            )
        self._services = services
        self._callback = callback
        self._context = context
        self._left = most

    async def tell(self, message: str, kind: str = "info") -> None:
        """Tell of a step; it is awaited, so that messages come in order, and before the answer."""
        await self._tell({"type": kind, "message": message[:MAX_MESSAGE_CHARS]})

    async def _tell(self, said: Any) -> None:
        if self._callback is None or not self._left:
            return
        self._left -= 1
        try:
            await self._services.call_back(
                self._callback, [said], context=self._context, timeout_s=TELL_TIMEOUT_S
            )
        except HyphaError:
            self._callback = None

    async def pass_on(self, said: Any = None) -> None:
        """Pass on what a worker tells of a step."""
        if not isinstance(said, Mapping):
            said = {"message": said}
        message, kind = said.get("message"), said.get("type")
        if isinstance(message, str):
            await self.tell(message, kind if isinstance(kind, str) and kind in _KINDS else "info")

    async def pass_event(self, event: Any = None) -> None:
        """Pass on what a worker tells of a script, as it is.

        What holds functions is left out: they would be called with the caller's rights.
        """
        if any(is_function(each) for each in maps_in(event)):
            return
        try:
            await self._tell(plain(event, "an event", MAX_EVENT_BYTES))
        except (InvalidRequest, FrameTooLarge):
            return
