"""What comes to a peer of the server: opened, checked, and led to the calls that it answers or makes.

All peers of the server share this; what they differ in stands in `service_peer` and `gateway_peer`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hypha.background import Tasks
from hypha.builtins.permission import STRANGER_BYTES
from hypha.errors import LimitReached, MalformedFrame, NotFound, TooManyBytes, TooManyValues
from hypha.hub.handing_on import hand_on
from hypha.hub.opening import Opened, Opener
from hypha.hub.requests import Request, text_in
from hypha.hub.serving import Serving
from hypha.hub.shares import payer
from hypha.wire.bounded import MAX_QUICK_VALUES
from hypha.wire.frames import Buffer, decode_body, is_answer, read_envelope
from hypha.wire.pieces import Pieces, open_message
from hypha.wire.values import BUILT_IN, SERVICES
from hypha.wire.weights import memory_of

if TYPE_CHECKING:
    from hypha.hub.calls import Calls
    from hypha.hub.client import Client
    from hypha.hub.hosted import HostedServices
    from hypha.hub.ports import PeerPorts
    from hypha.wire.chunks import Taken

UNCOUNTED_BYTES = 1024
"""A smaller frame is not counted while its call runs: the number of calls bounds them."""
OPENED_IN_THREAD_BYTES = 4 * 1024 * 1024
_ANSWERS = frozenset({"resolve", "reject", "heartbeat"})


class Inbox:
    """The receiving side of one peer.

    Args:
        calls: those that the peer makes: answers to them come here.
        hosted: what it offers.
        max_values: how many values one message may hold.
        guest_for: the guest at this address, if a message of these chunks is for it.
    """

    def __init__(
        self,
        ports: PeerPorts,
        calls: Calls,
        hosted: HostedServices,
        max_values: int,
        guest_for: Callable[[Sequence[bytes]], Client | None] = lambda chunks: None,
    ) -> None:
        self.serving = Serving(ports, calls, hosted, self._process)
        """Answers what is no answer itself."""
        self.unfinished = self.serving.cache.unfinished
        """Messages that clients are sending in chunks."""
        self._ports = ports
        self._calls = calls
        self._hosted = hosted
        self._max_values = max_values
        self._guest_for = guest_for
        self._opener = Opener()
        self._opening = Tasks()
        """Frames that are opened in a thread."""

    # -- frames

    def receive(self, sender: Client, main: dict[str, Any], data: Buffer, head: int) -> None:
        """Handle a routed frame; the context comes from the connection, never from the frame."""
        self._ports.traffic.to_server += 1
        if len(data) > STRANGER_BYTES and sender.user.is_anonymous:
            self._check_size(sender, main, len(data))
        try:
            extra = decode_body(data, head, MAX_QUICK_VALUES, any_keys=is_answer(main))
            self._dispatch(sender, main, extra, is_small=len(data) <= UNCOUNTED_BYTES)
        except TooManyValues:
            opening = self._opening.start(self._open_dense(sender, main, bytes(data), head))
            connection = sender.connection
            if connection is not None:
                connection.pause_reading()
                opening.add_done_callback(lambda _: connection.resume_reading())
        except (MalformedFrame, TypeError) as error:
            self._refuse_unread(sender, main, error)

    async def _open_dense(self, sender: Client, main: dict[str, Any], data: bytes, head: int) -> None:
        """Open a frame of very many values in a thread; nothing more of its sender is read meanwhile."""
        try:
            opened = await self._opener.frame(
                sender, main, data, head, self._max_values, any_keys=is_answer(main)
            )
            if not sender.ended:
                self._dispatch(sender, main, opened.extra, opened)
        except (MalformedFrame, TypeError) as error:
            self._refuse_unread(sender, main, error)

    def _check_size(self, sender: Client, main: dict[str, Any], size: int) -> None:
        """Refuse what is larger than a function takes from somebody without a credential."""
        method = str(main.get("method"))
        limit = self._hosted.stranger_bytes(method)
        if limit is not None and size > limit:
            name = method.removeprefix(SERVICES).partition(".")[2]
            text = f"{name[:200]} takes at most {limit:,} bytes from callers without a credential."
            raise self._located(sender, main, TooManyBytes(text))

    def _located(self, sender: Client, main: dict[str, Any], error: MalformedFrame) -> MalformedFrame:
        """The same error, with the call that it ends."""
        session, target = text_in(main, "session"), self._addressed(sender, main)
        return type(error)(str(error), session=session, target=target)

    def _addressed(self, sender: Client, main: dict[str, Any]) -> str:
        """This peer as the sender reaches it."""
        to = main.get("to")
        workspace = to.partition("/")[0] if isinstance(to, str) and "/" in to else sender.workspace
        return self._calls.address_in(workspace)

    def _refuse_unread(self, sender: Client, main: dict[str, Any], error: Exception) -> None:
        """End the call to which an unreadable frame belongs: one of ours, or one of the sender."""
        if not isinstance(error, MalformedFrame):
            error = MalformedFrame("Malformed frame: its fields have wrong types")
        method = main.get("method")
        if is_answer(main) and isinstance(method, str):
            self._calls.give_up(sender, method.rpartition(".")[0], str(error))
        else:
            self._ports.refuse_malformed(sender, self._located(sender, main, error))

    def _dispatch(
        self,
        sender: Client,
        main: dict[str, Any],
        extra: dict[str, Any],
        opened: Opened | None = None,
        taken: Taken | None = None,
        *,
        is_small: bool = False,
    ) -> None:
        method = main.get("method")
        args = extra.get("args") or []
        if not isinstance(method, str) or not isinstance(args, list):
            raise MalformedFrame("Malformed frame: no method or no list of arguments")
        is_service = method.startswith(SERVICES)
        session, _, name = method.partition(".")
        if not is_service and name in _ANSWERS:
            if taken is not None:
                taken.release()
            self._calls.take_answer(sender, session, name, args, opened)
            return
        if not is_small and not method.startswith(BUILT_IN):
            taken = self._counted(sender, main, extra, opened, taken)
            if taken is None:
                return
        request = Request.of(sender, self._addressed(sender, main), main, extra, opened, taken)
        kwargs: dict[str, Any] = {}
        if extra.get("with_kwargs") and args and isinstance(args[-1], dict):
            kwargs = args.pop()
        if not is_service:
            self.serving.call_back(request, session, name, args, kwargs)
        elif "parent" in main and self._is_lent(sender, method, main["parent"]):
            self.serving.refuse_lent(request)
        else:
            self.serving.serve(request, method, args, kwargs)

    def _counted(
        self,
        sender: Client,
        main: dict[str, Any],
        extra: dict[str, Any],
        opened: Opened | None,
        taken: Taken | None,
    ) -> Taken | None:
        """Count what a call keeps for as long as it runs; it is refused, and None, if there is no room."""
        memory = memory_of(extra) if opened is None else opened.memory
        try:
            if taken is None:
                return self._ports.cache_rooms.whole(payer(sender), memory)
            taken.weigh(memory)
        except LimitReached as error:
            if taken is not None:
                taken.release()
            request = Request.of(sender, self._addressed(sender, main), main, extra)
            self.serving.answers.fail(request, error)
            return None
        return taken

    def _is_lent(self, sender: Client, method: str, parent: object) -> bool:
        """True for a call of a function that came to the sender inside a call of somebody else's.

        The client libraries name that call's session. Who gives somebody a function of the server would
        have it run with that one's rights.
        """
        return not method.startswith(BUILT_IN) and not self._calls.awaits(sender, parent)

    # -- messages in chunks

    def _process(self, request: Request, taken: Taken, session: object) -> bool:
        """Handle a message that came in chunks as a frame of its sender.

        A large one, or one of many values, is opened in a thread, so that the others need not wait.
        """
        try:
            if session is None and self._pass_to_guest(request, taken):
                return False
            self._check_message(request.sender, taken.chunks)
            if sum(map(len, taken.chunks)) < OPENED_IN_THREAD_BYTES:
                with suppress(TooManyValues):
                    main, extra = open_message(taken.chunks, MAX_QUICK_VALUES)
                    taken.hand_over()
                    self._dispatch_opened(request.sender, main, extra, None, taken)
                    return True
            self._check_expected(request.sender, read_envelope(Pieces(taken.chunks))[0])
        except BaseException:
            taken.release()
            raise

        async def open_large() -> None:
            await self._open_large(request.sender, taken, session)

        if not self.serving.running.start(request, "a message in chunks", open_large):
            taken.release()
        return False

    def _pass_to_guest(self, request: Request, taken: Taken) -> bool:
        """Hand a message on to the guest; False if it is for the server itself."""
        guest = self._guest_for(taken.chunks)
        if guest is None:
            return False

        async def pass_on() -> None:
            try:
                await hand_on(self._ports, request.sender, guest, request.address, taken.hand_over())
            finally:
                taken.release()

        if not self.serving.running.start(request, "a message in chunks", pass_on):
            taken.release()
        return True

    def _check_message(self, sender: Client, pieces: list[bytes]) -> None:
        size = sum(map(len, pieces))
        if size <= STRANGER_BYTES or not sender.user.is_anonymous:
            return
        main, _ = read_envelope(Pieces(pieces))
        try:
            self._check_size(sender, main, size)
        except TooManyBytes as error:
            self._ports.refuse_malformed(sender, error)  # ends the call that was in the message
            raise

    def _check_expected(self, sender: Client, main: dict[str, Any]) -> None:
        """Refuse a large message that nobody waits for, before it is opened."""
        method = str(main.get("method"))
        session = method.partition(".")[0]
        if method.startswith(SERVICES):
            return
        if is_answer(main):
            is_awaited = self._calls.awaits(sender, session)
        else:
            is_awaited = self._calls.sessions.find(session, sender.address) is not None
        if not is_awaited:
            raise NotFound(f"session does not exist anymore: {session[:80]}")

    async def _open_large(self, sender: Client, taken: Taken, session: object) -> None:
        try:
            opened = await self._opener.message(sender, taken.hand_over(), self._max_values)
            self._dispatch_opened(sender, opened.main, opened.extra, opened, taken)
        except BaseException as error:
            taken.release()
            if not isinstance(error, MalformedFrame | TypeError):
                raise
            self._calls.give_up(sender, session, str(error))
            raise MalformedFrame(str(error)) from None

    def _dispatch_opened(
        self,
        sender: Client,
        main: dict[str, Any],
        extra: dict[str, Any],
        opened: Opened | None,
        taken: Taken,
    ) -> None:
        if main.get("type") != "method":
            raise MalformedFrame("Malformed frame: only calls may be sent in chunks")
        if sender.ended:
            taken.release()
        else:
            self._dispatch(sender, main, extra, opened, taken)

    async def close(self) -> None:
        """Cancel running calls, drop unfinished messages."""
        self.unfinished.clear()
        self._opener.close()
        await self._opening.close()
        await self.serving.running.close()
