"""What a caller is told step by step while it waits for a start or an install."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hypha.errors import HyphaError, InvalidArguments

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.features.ports import ServicesPort

MAX_MESSAGE_CHARS = 2_000
MAX_MESSAGES = 1_000
TELL_TIMEOUT_S = 5.0
_KINDS = frozenset({"info", "success", "warning", "error"})


class Steps:
    """Tells the caller's function, one message after the other, until that fails once or heard enough."""

    def __init__(self, services: ServicesPort, callback: object, context: Context) -> None:
        """Raise InvalidArguments if the callback is no function of the caller's own."""
        if callback is not None and not services.is_callback(callback, context):
            raise InvalidArguments(
                "progress_callback is a function of the client that calls; by HTTP there is none."
            )
        self._services = services
        self._callback = callback
        self._context = context
        self._left = MAX_MESSAGES

    async def tell(self, message: str, kind: str = "info") -> None:
        """Tell of a step; it is awaited, so that messages come in order, and before the answer."""
        if self._callback is None or not self._left:
            return
        self._left -= 1
        said = {"type": kind, "message": message[:MAX_MESSAGE_CHARS]}
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
