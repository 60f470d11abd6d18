"""Calls that the server itself makes to clients: its own, and those of people who come by HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hypha.auth.users import Context, User, root_user
from hypha.errors import (
    CallFailed,
    CallTimedOut,
    ForeignFunction,
    HyphaError,
    InvalidRequest,
)
from hypha.hub.callbacks import Function, Session, Sessions
from hypha.hub.outbox import REPEATABLE_METHODS, Kind
from hypha.hub.refusals import unreadable
from hypha.ids import random_id
from hypha.limits import BoundedMap
from hypha.wire.chunks import CHUNK_BYTES, SINGLE_FRAME_BYTES
from hypha.wire.frames import Stamp, join_frame, pack
from hypha.wire.packed import PackedList, is_large, pack_call
from hypha.wire.pieces import Pieces, pack_pieces
from hypha.wire.values import (
    BUILT_IN,
    MESSAGE_CACHE,
    SERVICES,
    absolute_targets,
    check_owner,
    is_flat,
    is_tagged,
)

if TYPE_CHECKING:
    from hypha.clock import Timer
    from hypha.hub.client import Client
    from hypha.hub.opening import Opened
    from hypha.hub.ports import PeerPorts

logger = logging.getLogger(__name__)

CHUNKS_IN_FLIGHT = 16
GET_SERVICE = f"{BUILT_IN}get_service"
PING = f"{BUILT_IN}ping"
_STAMPS_KEPT = 512


class _Outgoing:
    """One call that waits for its answer."""

    __slots__ = ("callee", "functions", "future", "timeout_s", "timer")

    def __init__(self, future: asyncio.Future[Any], callee: str, timeout_s: float, timer: Timer) -> None:
        self.future = future
        self.callee = callee
        """The address of the client that must answer."""
        self.timeout_s = timeout_s
        """How long it may be silent."""
        self.timer = timer
        """Ends the call when it was silent for so long."""
        self.functions: list[dict[Any, Any]] = []
        """The function values in the answer, made absolute."""


class Calls:
    """The calls that one peer of the server makes. The hub knows it as their caller.

    On whose behalf is said per call by a Context, which the server made; None is the server itself.

    Args:
        address_in: the address under which clients of a workspace, and callers there, know the peer.
        server_url: the public base URL, which goes into function values.
    """

    ended = False
    """It lives as long as the server."""

    def __init__(self, ports: PeerPorts, address_in: Callable[[str], str], server_url: str) -> None:
        self.address_in = address_in
        self.address = address_in("*")
        """For the log, and where it matters that this is no client."""
        self.sessions = Sessions()
        """Functions of the server that callees may call back."""
        self._ports = ports
        self._server_url = server_url
        self._open: dict[str, _Outgoing] = {}
        """Those that wait for their answers, by session."""
        self._stamps: BoundedMap[tuple[int, str], tuple[User, Stamp]] = BoundedMap(_STAMPS_KEPT)
        """Packed identities, by user (as an object, kept so that its number stays its own) and workspace."""
        self._root = root_user()
        """Who calls when it is the server itself."""
        self._prefix = random_id(8)
        """What the names of all sessions begin with."""
        self._count = 0
        """How many there were."""

    async def call(
        self,
        target: str,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = 30.0,
        context: Context | None = None,
    ) -> Any:
        """Call a method of a client and return the decoded result, tags kept.

        `target` is `workspace/client_id`, `method` e.g. `services.echo.hello`. Heartbeats of the
        callee extend the timeout, as they do for every client. Generators in the result are the
        callee's own, and so are all functions of a service that it gives.

        Raises:
            CallFailed: the callee raised. NotDelivered: it is not there; it never saw the call.
            UnreadableAnswer: its answer breaks the wire format.
            OutcomeUnknown: it went away meanwhile. CallTimedOut: no answer and no heartbeat.
            ForeignFunction: it answered with functions that are not its own.
        """
        client = self._ports.clients.find(target)
        if client is None or (client.fails_fast and not client.takes(method)):
            raise self._ports.clients.absent(target)
        stamp = self._stamp(context, client.workspace)
        result, functions = await self._exchange(client, stamp, method, args, kwargs, timeout_s)
        if functions:
            self._check_functions(functions, client, method, context)
        return result

    async def _exchange(
        self,
        client: Client,
        stamp: Stamp,
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None = None,
        timeout_s: float = 30.0,
    ) -> tuple[Any, list[dict[Any, Any]]]:
        """Send a call and await its answer: the result, and the function values in it."""
        self._count += 1
        session = f"{self._prefix}{self._count}"
        main = {
            "type": "method",
            "from": stamp.address,
            "to": client.address,
            "method": method,
            "session": session,
            "ws": stamp.workspace,
            "user": stamp.user_for(client.workspace),
        }
        pieces = [pack(main), *_pack_body(args, kwargs, timeout_s / 2)]
        timer = self._ports.clock.call_later(timeout_s, self._time_out, session)
        future = asyncio.get_running_loop().create_future()
        waiting = self._open[session] = _Outgoing(future, client.address, timeout_s, timer)
        try:
            if sum(map(len, pieces)) > SINGLE_FRAME_BYTES:
                await self.send_chunked(client, Pieces(pieces), random_id(), False, stamp)
            else:
                kind = Kind.REPEATABLE if method in REPEATABLE_METHODS else Kind.CALL
                client.calls += 1
                self._ports.upcalls.gather_turn()
                client.deliver(join_frame(*pieces), kind, (self, session), timeout_s / 2)
            return await future, waiting.functions
        finally:
            waiting.timer.cancel()
            self._open.pop(session, None)
            client.pending.pop((self, session), None)
            # else an error refers to itself through this frame, and keeps large arguments alive
            del waiting, future

    async def send_chunked(
        self, client: Client, message: Pieces, key: str, heartbeat: bool, stamp: Stamp
    ) -> None:
        """Send a packed frame in chunks through the receiver's message cache.

        Args:
            heartbeat: the key is a session of the receiver's, which goes on waiting with each chunk.
            stamp: who sends it.
        """
        await self._exchange(client, stamp, f"{MESSAGE_CACHE}create", [key, heartbeat])
        chunks = enumerate(message.chunks(CHUNK_BYTES))

        async def put_all() -> None:
            for index, chunk in chunks:
                await self._exchange(client, stamp, f"{MESSAGE_CACHE}set", [key, index, chunk, heartbeat])

        async with asyncio.TaskGroup() as group:
            for _ in range(min(CHUNKS_IN_FLIGHT, -(-len(message) // CHUNK_BYTES))):
                group.create_task(put_all())
        await self._exchange(client, stamp, f"{MESSAGE_CACHE}process", [key, heartbeat])

    def _stamp(self, context: Context | None, target_workspace: str) -> Stamp:
        """Who calls: the server itself, as root in the callee's workspace, or somebody else."""
        if context is None:
            user, workspace = self._root, target_workspace
        else:
            user, workspace = context.user, context.workspace
        key = (id(user), workspace)
        kept = self._stamps.get(key)
        if kept is not None and kept[0] is user:
            return kept[1]
        stamp = _stamp_of(user, workspace, self.address_in(workspace))
        self._stamps.put(key, (user, stamp))
        return stamp

    def root_at(self, address: str, workspace: str) -> Stamp:
        """The server itself in a workspace, under the address by which a caller there reached the peer."""
        return _stamp_of(self._root, workspace, address)

    def session(self, target: str, functions: Mapping[str, Function], context: Context) -> Session:
        """Functions that the client `target` may call back during one call on behalf of `context`."""
        address = self.address_in(context.workspace)
        return Session(self.sessions, target, address, self._server_url, functions)

    async def ping(self, target: str, timeout_s: float) -> None:
        """Ask a client for a sign of life.

        Raises:
            HyphaError: there was none within the time; as `call`.
        """
        await self.call(target, PING, ["ping"], timeout_s=timeout_s)

    def _check_functions(
        self, functions: list[dict[Any, Any]], callee: Client, method: str, context: Context | None
    ) -> None:
        """Let no answer lead on to what the callee does not offer to the caller itself."""
        followed = [value for value in functions if value.get("_rtype") == "generator"]
        try:
            check_owner(functions if method == GET_SERVICE else followed, callee.address)
            for value in followed:
                for key in ("_rmethod", "_rclose_method"):
                    if not self._may_follow(callee, value.get(key, ""), context):
                        raise ForeignFunction(
                            f"{callee.address} answered with a generator that runs a function which it "
                            "does not offer to you."
                        )
        except ForeignFunction:
            workspace = context.workspace if context is not None else callee.workspace
            self._ports.upcalls.on_refused(callee, workspace, "an answer with a function that is not its own")
            raise

    def _may_follow(self, callee: Client, method: object, context: Context | None) -> bool:
        """Sessions are between the two; a service must be one that the caller may call itself."""
        if not isinstance(method, str):
            return False
        if not method.startswith(SERVICES):
            return True
        return context is not None and self._ports.upcalls.membership.may_follow(context, callee, method)

    async def iterate(
        self, value: Mapping[str, Any], *, timeout_s: float = 30.0, context: Context | None = None
    ) -> AsyncIterator[Any]:
        """Yield the items of a generator one by one; close it when the reader leaves early.

        Args:
            value: from a result of `call`, which checked whom it names.
        """
        target, method = str(value["_rtarget"]), str(value["_rmethod"])
        finished = False
        try:
            while True:
                item = await self.call(target, method, timeout_s=timeout_s, context=context)
                if is_tagged(item, "stop_iteration"):
                    finished = True
                    return
                yield item
        except HyphaError:
            finished = True
            raise
        finally:
            close = value.get("_rclose_method")
            if not finished and close:
                await self._close_generator(target, str(close), context)

    async def _close_generator(self, target: str, method: str, context: Context | None) -> None:
        try:
            await self.call(target, method, timeout_s=5.0, context=context)
        except HyphaError:
            return

    def reject(self, session: str, source: str, error: HyphaError) -> None:
        """The hub ends a waiting call: its callee is gone, or has answered what cannot be read."""
        waiting = self._open.get(session)
        if waiting is not None and not waiting.future.done():
            waiting.future.set_exception(error)

    def give_up(self, sender: Client, session: object, reason: str) -> None:
        """End one of our calls, if it is one of this client's, whose answer cannot be read."""
        waiting = self._waiting_for(sender, session)
        if waiting is not None:
            logger.info("An answer of %s cannot be read: %s", sender.address, reason)
            waiting.future.set_exception(unreadable(sender.address, reason))

    def _time_out(self, session: str) -> None:
        waiting = self._open.get(session)
        if waiting is not None and not waiting.future.done():
            text = f"No answer from {waiting.callee} within {waiting.timeout_s:g} s; the call may have run."
            waiting.future.set_exception(CallTimedOut(text))

    def is_open(self, session: str) -> bool:
        """True while one of our calls has this session, whoever is to answer."""
        return session in self._open

    def awaits(self, sender: Client, session: object) -> bool:
        """True while one of our calls waits for this client's answer under this session."""
        waiting = self._open.get(session) if isinstance(session, str) else None
        return waiting is not None and waiting.callee == sender.address

    def _waiting_for(self, sender: Client, session: object) -> _Outgoing | None:
        """The call that this client is still to answer under this session."""
        waiting = self._open.get(session) if isinstance(session, str) else None
        if waiting is None or waiting.callee != sender.address or waiting.future.done():
            return None
        return waiting

    def take_answer(
        self, sender: Client, session: str, name: str, args: list[Any], opened: Opened | None = None
    ) -> None:
        """Handle `resolve`, `reject` or `heartbeat` for one of our calls; others are ignored.

        Args:
            opened: what is known of a large answer, which was opened in a thread.
        """
        key = (self, session)
        call = sender.pending.get(key) if name == "heartbeat" else sender.pending.pop(key, None)
        if call is not None:
            sender.outbox.acknowledge(call[0])
            sender.doubts.pop(key, None)
        if name == "heartbeat":
            self.keep_waiting(sender, session)
            return
        waiting = self._waiting_for(sender, session)
        if waiting is None:
            return
        value = args[0] if args else None
        if name == "reject":
            waiting.future.set_exception(_raised(value))
            return
        try:
            waiting.functions = (
                absolute_targets(value, sender.workspace) if opened is None else opened.found()
            )
        except InvalidRequest as deep:
            self.give_up(sender, session, deep.message)
        else:
            waiting.future.set_result(value)

    def keep_waiting(self, sender: Client, session: str) -> None:
        """The client is still at work on one of our calls: wait for its full time again."""
        waiting = self._waiting_for(sender, session)
        if waiting is not None:
            waiting.timer.cancel()
            waiting.timer = self._ports.clock.call_later(waiting.timeout_s, self._time_out, session)


def _stamp_of(user: User, workspace: str, address: str) -> Stamp:
    return Stamp(address, workspace, user.to_wire(), user.facts_for if user.names_others else None)


def _raised(value: Any) -> CallFailed:
    """The error that a callee tells in `reject`."""
    if isinstance(value, dict):
        return CallFailed(_text(value.get("_rvalue", "")), trace=_text(value.get("_rtrace") or ""))
    return CallFailed(_text(value))


def _text(value: Any) -> str:
    """What a callee raised, as text; a large value is not written out."""
    if isinstance(value, str):
        return value
    return type(value).__name__ if is_large(value) else str(value)


def _pack_body(args: Sequence[Any], kwargs: Mapping[str, Any] | None, interval_s: float) -> list[bytes]:
    """What follows the envelope of a call, as pieces; large arguments may be packed already."""
    rest = {"promise": "*", "t": interval_s}
    if isinstance(args, PackedList):
        return pack_call(args, kwargs, rest)
    given = [*args, kwargs] if kwargs else list(args)
    body = {"args": given, "with_kwargs": True, **rest} if kwargs else {"args": given, **rest}
    is_small = (not args or is_flat(args)) and (not kwargs or is_flat(kwargs))
    return [pack(body)] if is_small else pack_pieces(body)
