"""Calls that the server itself makes to clients: for the manager and for HTTP callers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hypha.auth.users import Context, User, root_user
from hypha.errors import (
    CallFailed,
    CallTimedOut,
    ForeignFunction,
    HyphaError,
    InvalidRequest,
    NotDelivered,
    OutcomeUnknown,
)
from hypha.hub.outbox import REPEATABLE_METHODS, Kind
from hypha.hub.refusals import absent, unreadable
from hypha.ids import random_id
from hypha.limits import BoundedMap
from hypha.wire.chunks import CHUNK_BYTES, SINGLE_FRAME_BYTES
from hypha.wire.frames import Stamp, pack, seal
from hypha.wire.packed import PackedList, is_large, pack_call
from hypha.wire.pieces import Pieces, pack_pieces
from hypha.wire.values import SERVICES, absolute_targets, check_owner, is_tagged

if TYPE_CHECKING:
    from hypha.clock import Timer
    from hypha.hub.client import Client
    from hypha.hub.opening import Opened
    from hypha.hub.ports import PeerPorts

logger = logging.getLogger(__name__)

CHUNKS_IN_FLIGHT = 16
GET_SERVICE = "services.built-in.get_service"
PING = "services.built-in.ping"
_STAMPS_KEPT = 512


class _Waiting:
    """One outgoing call: its future, its deadline, who must answer, and the functions in the answer."""

    __slots__ = ("functions", "future", "target", "timeout_s", "timer")

    def __init__(self, future: asyncio.Future[Any], target: str, timeout_s: float) -> None:
        self.future = future
        self.target = target
        self.timeout_s = timeout_s
        self.timer: Timer | None = None
        self.functions: list[dict[Any, Any]] = []


class Calls:
    """The calling half of a peer inside the server.

    A peer answers under one id in every workspace, or under `*`; on whose behalf it calls is
    said per call by a Context, which the server made.
    """

    ended = False
    """It lives as long as the server."""

    def __init__(self, ports: PeerPorts, workspace: str, peer_id: str) -> None:
        self.ports = ports
        self.workspace = workspace
        self.peer_id = peer_id
        self.address = f"{workspace}/{peer_id}"
        self._waiting: dict[str, _Waiting] = {}
        self._stamps: BoundedMap[tuple[int, str], tuple[User, Stamp]] = BoundedMap(_STAMPS_KEPT)
        self._root = root_user()
        self._prefix = random_id(8)
        self._count = 0

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
            OutcomeUnknown: it went away meanwhile. CallTimedOut: no answer and no heartbeat.
            ForeignFunction: it answered with functions that are not its own.
        """
        client = self.ports.clients.find(target)
        if client is None or client.fails_fast:
            raise absent(target)
        self._count += 1
        session = f"{self._prefix}{self._count}"
        body = _pack_body(args, kwargs, timeout_s / 2)
        waiting = _Waiting(asyncio.get_running_loop().create_future(), target, timeout_s)
        waiting.timer = self.ports.clock.call_later(timeout_s, self._time_out, session)
        self._waiting[session] = waiting
        try:
            await self._send(client, session, method, body, timeout_s / 2, context)
            result = await waiting.future
            if waiting.functions:
                self._check_functions(waiting.functions, client, method, context)
            return result
        finally:
            waiting.timer.cancel()
            self._waiting.pop(session, None)
            client.pending.pop((self, session), None)
            del waiting  # else an error refers to itself through this frame, and keeps large arguments alive

    async def ping(self, target: str, timeout_s: float) -> None:
        """Ask a client for a sign of life; it takes heartbeats for one, too.

        Raises:
            HyphaError: as `call`; CallFailed also if the client hosts no `built-in`.
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
            self.ports.upcalls.on_refused(callee, workspace, "an answer with a function that is not its own")
            raise

    def _may_follow(self, callee: Client, method: object, context: Context | None) -> bool:
        """Sessions are between the two; a service must be one that the caller may call itself."""
        if not isinstance(method, str):
            return False
        if not method.startswith(SERVICES):
            return True
        return context is not None and self.ports.upcalls.membership.may_follow(context, callee, method)

    async def _send(
        self,
        client: Client,
        session: str,
        method: str,
        body: list[bytes],
        interval_s: float,
        context: Context | None,
    ) -> None:
        stamp = self._stamp(context, client.workspace)
        main = {
            "type": "method",
            "from": stamp.address,
            "to": client.address,
            "method": method,
            "session": session,
            "ws": stamp.workspace,
            "user": stamp.user_for(client.workspace),
        }
        pieces = [pack(main), *body]
        if sum(map(len, pieces)) > SINGLE_FRAME_BYTES:
            await self.send_chunked(client, Pieces(pieces), random_id(), False, context)
            return
        kind = Kind.REPEATABLE if method in REPEATABLE_METHODS else Kind.CALL
        client.calls_recent += 1
        self.ports.upcalls.gather_turn()
        client.deliver(seal(*pieces), kind, (self, session), interval_s)

    async def send_chunked(
        self, client: Client, message: Pieces, key: str, heartbeat: bool, context: Context | None
    ) -> None:
        """Send a packed frame in chunks through the receiver's message cache."""
        prefix = "services.built-in.message_cache."
        await self.call(client.address, f"{prefix}create", [key, heartbeat], context=context)
        chunks = enumerate(message.chunks(CHUNK_BYTES))

        async def put_all() -> None:
            for index, chunk in chunks:
                await self.call(
                    client.address, f"{prefix}set", [key, index, chunk, heartbeat], context=context
                )

        async with asyncio.TaskGroup() as group:
            for _ in range(min(CHUNKS_IN_FLIGHT, -(-len(message) // CHUNK_BYTES))):
                group.create_task(put_all())
        await self.call(client.address, f"{prefix}process", [key, heartbeat], context=context)

    def _stamp(self, context: Context | None, target_workspace: str) -> Stamp:
        """Sender identity of a call: the server's own (root), or that of the HTTP caller."""
        if context is None:
            user, workspace, address = self._root, target_workspace, self.address
        else:
            user, workspace = context.user, context.workspace
            address = self.address if self.workspace == "*" else f"{workspace}/{self.peer_id}"
        key = (id(user), workspace)
        kept = self._stamps.get(key)
        if kept is not None and kept[0] is user:
            return kept[1]
        stamp = Stamp(address, workspace, user.to_wire(), user.facts_for if user.names_others else None)
        self._stamps.put(key, (user, stamp))
        return stamp

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
        waiting = self._waiting.get(session)
        if waiting is not None and not waiting.future.done():
            is_of_hub = isinstance(error, NotDelivered | OutcomeUnknown)
            waiting.future.set_exception(error if is_of_hub else CallFailed(error.rpc_text))

    def give_up(self, sender: Client, session: object, reason: str) -> None:
        """End one of our calls, if it is one of this client's, whose answer cannot be read."""
        waiting = self._waiting.get(session) if isinstance(session, str) else None
        if waiting is None or waiting.target != sender.address or waiting.future.done():
            return
        logger.info("An answer of %s cannot be read: %s", sender.address, reason)
        waiting.future.set_exception(CallFailed(unreadable(sender.address, reason).rpc_text))

    def _time_out(self, session: str) -> None:
        waiting = self._waiting.get(session)
        if waiting is not None and not waiting.future.done():
            text = f"No answer from {waiting.target} within {waiting.timeout_s:g} s; the call may have run."
            waiting.future.set_exception(CallTimedOut(text))

    def awaits(self, sender: Client, session: object) -> bool:
        """True while one of our calls waits for this client's answer under this session."""
        waiting = self._waiting.get(session) if isinstance(session, str) else None
        return waiting is not None and waiting.target == sender.address

    def take_answer(
        self, sender: Client, session: str, name: str, args: list[Any], opened: Opened | None = None
    ) -> None:
        """Handle `resolve`, `reject` or `heartbeat` for one of our calls; others are ignored.

        Args:
            opened: what is known of a large answer, which was opened in a thread.
        """
        waiting = self._waiting.get(session)
        if waiting is None or waiting.target != sender.address or waiting.future.done():
            return
        if name == "heartbeat":
            if waiting.timer is not None:
                waiting.timer.cancel()
            waiting.timer = self.ports.clock.call_later(waiting.timeout_s, self._time_out, session)
            return
        value = args[0] if args else None
        if name == "resolve":
            try:
                found = absolute_targets(value, sender.workspace) if opened is None else opened.found()
                waiting.functions = found
            except InvalidRequest as deep:
                self.give_up(sender, session, deep.message)
            else:
                waiting.future.set_result(value)
            return
        if isinstance(value, dict):
            error = CallFailed(_text(value.get("_rvalue", "")), trace=_text(value.get("_rtrace") or ""))
        else:
            error = CallFailed(_text(value))
        waiting.future.set_exception(error)


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
    given = {"args": [*args, kwargs], "with_kwargs": True} if kwargs else {"args": list(args)}
    return pack_pieces({**given, **rest})
