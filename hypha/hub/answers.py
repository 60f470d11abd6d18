"""How peers of the server answer calls: with a result, an error, or a sign that the call still runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypha.hub.outbox import Kind
from hypha.hub.refusals import reject_frame
from hypha.wire.chunks import SINGLE_FRAME_BYTES
from hypha.wire.frames import join_frame, pack
from hypha.wire.pieces import Pieces

if TYPE_CHECKING:
    from hypha.errors import HyphaError
    from hypha.hub.calls import Calls
    from hypha.hub.requests import Request

_ENVELOPE_BYTES = 512


class Answers:
    """Sends the answers of one peer; nothing is sent to a caller that has ended, or wants no such answer.

    Args:
        calls: those of the peer: large answers are sent by calling the receiver's message cache.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def resolve(self, request: Request, body: bytes) -> None:
        """Send a result that is packed already and small."""
        if request.resolve is not None:
            self._send(request, request.resolve, body)

    async def resolve_large(self, request: Request, body: list[bytes]) -> None:
        """Send a packed result of any size, in chunks if it must be.

        Raises:
            HyphaError: the receiver does not take the chunks.
        """
        if request.resolve is None:
            return
        if sum(map(len, body)) <= SINGLE_FRAME_BYTES - _ENVELOPE_BYTES or request.session is None:
            self._send(request, request.resolve, b"".join(body))
            return
        main = {**_envelope(request, request.resolve), "parent": request.session}
        identity = self._calls.root_at(request.address, request.sender.workspace)
        message = Pieces([pack(main), *body])
        await self._calls.send_chunked(request.sender, message, request.session, True, identity)

    def fail(self, request: Request, error: HyphaError) -> None:
        """Send an error."""
        if request.reject is None or request.sender.ended:
            return
        session = request.reject.partition(".")[0]
        request.sender.deliver(
            reject_frame(session, request.address, request.sender.address, error), Kind.ANSWER
        )

    def beat(self, request: Request) -> bool:
        """Say that the call still runs; False if its caller does not want to hear it, now or later."""
        if request.heartbeat is None or request.sender.ended:
            return False
        self._send(request, request.heartbeat, None)
        return True

    @staticmethod
    def _send(request: Request, method: str, body: bytes | None) -> None:
        sender = request.sender
        if sender.ended:
            return
        main = _envelope(request, method)
        if request.session is not None:
            main["parent"] = request.session
        head = pack(main)
        sender.deliver(head if body is None else join_frame(head, body), Kind.ANSWER)


def _envelope(request: Request, method: str) -> dict[str, Any]:
    return {"type": "method", "from": request.address, "to": request.sender.address, "method": method}
