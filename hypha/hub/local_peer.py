"""A peer inside the server: it offers built-in services and answers like a client would."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hypha.auth.users import Context
from hypha.builtins.permission import STRANGER_BYTES
from hypha.builtins.service import BuiltinService
from hypha.errors import (
    ForeignFunction,
    FunctionNotFound,
    HyphaError,
    InvalidRequest,
    LimitReached,
    MalformedFrame,
    NotFound,
    PermissionDenied,
    ServerFault,
    ServiceNotFound,
    TooManyBytes,
    TooManyValues,
)
from hypha.hub.callbacks import Function, Session, Sessions
from hypha.hub.calls import Calls
from hypha.hub.opening import Opened, Opener
from hypha.hub.outbox import Kind
from hypha.hub.refusals import reject_frame
from hypha.hub.shares import Room, Shares
from hypha.hub.unfinished import UnfinishedMessages
from hypha.ids import random_id
from hypha.wire.bounded import MAX_PASSED_VALUES, MAX_QUICK_VALUES, MAX_VALUES
from hypha.wire.chunks import SINGLE_FRAME_BYTES
from hypha.wire.frames import Buffer, decode_body, is_answer, pack, read_envelope, seal
from hypha.wire.packed import is_large, pack_in_turns
from hypha.wire.pieces import Pieces, open_message, pack_pieces
from hypha.wire.values import SERVICES, absolute_targets, check_owner, method_value

if TYPE_CHECKING:
    from hypha.clock import Timer
    from hypha.hub.client import Client
    from hypha.hub.connection import Connection
    from hypha.hub.ports import PeerPorts

logger = logging.getLogger(__name__)

API_VERSION = 3
FIRST_HEARTBEAT_S = 0.1
MIN_INTERVAL_S = 0.1
MAX_INTERVAL_S = 3600.0
MAX_RUNNING_PER_CLIENT = 2000
MAX_RUNNING = Room(free=16, party=10_000, strangers=20_000, total=100_000)
"""Calls of one peer's functions that run at once."""
OPENED_IN_THREAD_BYTES = 4 * 1024 * 1024
_BUILT_IN = "services.built-in."
_ANSWERS = frozenset({"resolve", "reject", "heartbeat"})


@dataclass(frozen=True, slots=True)
class Request:
    """One call to the server: who, which session answers, and how often to say "still busy"."""

    sender: Client
    context: Context
    resolve: str | None
    reject: str | None
    heartbeat: str | None
    interval_s: float
    session: str | None
    address: str
    opened: Opened | None = None


_Handler = Callable[["LocalPeer", Request, list[Any], dict[str, Any]], Any]


class LocalPeer(Calls):
    """Hosts `built-in` and other services of the server under `<workspace>/<peer_id>`.

    `workspace` `*` is the manager's; `server_url` is the public base URL that goes into every
    function value. `is_usable` says who may have the description of a service.
    """

    def __init__(self, ports: PeerPorts, workspace: str, peer_id: str, server_url: str) -> None:
        super().__init__(ports, workspace, peer_id)
        self.server_url = server_url
        self.services: dict[str, BuiltinService] = {}
        self._described: dict[str, bytes] = {}
        self.is_usable: Callable[[str, Context], bool] = lambda name, context: True
        self.unfinished = UnfinishedMessages(ports.cache_rooms)
        self._opener = Opener()
        self._max_values = MAX_VALUES if workspace else MAX_PASSED_VALUES  # those of all pass on for HTTP
        self._running: dict[str, int] = {}
        self._running_together = Shares(MAX_RUNNING)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sessions = Sessions()

    def session(self, target: str, functions: Mapping[str, Function], context: Context) -> Session:
        """Functions that the client `target` may call back during one call on behalf of `context`."""
        address = self._stamp(context, context.workspace).address
        return Session(self._sessions, target, address, self.server_url, functions)

    def host(self, service: BuiltinService) -> None:
        """Offer a service; its description is packed once."""
        self.services[service.id] = service
        self._described[service.id] = pack({"args": [service.encoded(self.address, self.server_url)]})

    def receive(self, sender: Client, main: dict[str, Any], data: Buffer, head: int) -> None:
        """Handle a routed frame; the context comes from the connection, never from the frame."""
        self.ports.traffic.to_server += 1
        if len(data) > STRANGER_BYTES and sender.user.is_anonymous:
            self._check_size(main, len(data))
        try:
            extra = decode_body(data, head, MAX_QUICK_VALUES, any_keys=is_answer(main))
            self._dispatch(sender, main, extra)
        except TooManyValues:
            opening = self._open_dense(sender, sender.connection, main, bytes(data), head)
            if sender.connection is not None:
                sender.connection.pause_reading()
            self._run_task(opening)
        except (MalformedFrame, TypeError) as error:
            self._refuse_unread(sender, main, error)

    async def _open_dense(
        self, sender: Client, connection: Connection | None, main: dict[str, Any], data: bytes, head: int
    ) -> None:
        """Open a frame of very many values in a thread; nothing more of its sender is read meanwhile."""
        try:
            opened = await self._opener.frame(
                main, data, head, self._max_values, sender.workspace, any_keys=is_answer(main)
            )
            if not sender.ended:
                self._dispatch(sender, main, opened.extra, opened)
        except (MalformedFrame, TypeError) as error:
            self._refuse_unread(sender, main, error)
        finally:
            if connection is not None:
                connection.resume_reading()

    def _check_size(self, main: dict[str, Any], size: int) -> None:
        """Refuse what is larger than a function takes from somebody without a credential.

        Chunks have bounds of their own, and so have answers to calls of the server.
        """
        service_id, _, name = str(main.get("method")).removeprefix(SERVICES).partition(".")
        if not str(main.get("method")).startswith(SERVICES) or service_id == "built-in":
            return
        service = self.services.get(service_id)
        function = service.functions.get(name) if service is not None else None
        limit = STRANGER_BYTES if function is None else function.takes_bytes
        if limit is not None and size > limit:
            text = f"{name[:200]} takes at most {limit:,} bytes from callers without a credential."
            raise self._malformed(main, TooManyBytes(text))

    def _malformed(self, main: dict[str, Any], error: MalformedFrame) -> MalformedFrame:
        return type(error)(str(error), session=_text(main, "session"), target=self._address_in(main))

    def _refuse_unread(self, sender: Client, main: dict[str, Any], error: Exception) -> None:
        """End the call to which an unreadable frame belongs: one of ours, or one of the sender."""
        if not isinstance(error, MalformedFrame):
            error = MalformedFrame("Malformed frame: its fields have wrong types")
        method = main.get("method")
        if is_answer(main) and isinstance(method, str):
            self.give_up(sender, method.rpartition(".")[0], str(error))
        else:
            self.ports.refuse_malformed(sender, self._malformed(main, error))

    def _dispatch(
        self, sender: Client, main: dict[str, Any], extra: dict[str, Any], opened: Opened | None = None
    ) -> None:
        method = main.get("method")
        args = extra.get("args") or []
        if not isinstance(method, str) or not isinstance(args, list):
            raise MalformedFrame("Malformed frame: no method or no list of arguments")
        is_service = method.startswith("services.")
        session, _, name = method.partition(".")
        if not is_service and name in _ANSWERS:
            self._take_answer(sender, session, name, args, opened)
            return
        request = self._request(sender, main, extra, opened)
        kwargs: dict[str, Any] = {}
        if extra.get("with_kwargs") and args and isinstance(args[-1], dict):
            kwargs = args.pop()
        if is_service and "parent" in main and self._is_lent(sender, method, main["parent"]):
            self._refuse_lent(request)
        elif is_service:
            self._start(request, method[len(SERVICES) :], args, kwargs)
        else:
            self._launch(request, method, self._call_back(request, session, name, args, kwargs))

    def _is_lent(self, sender: Client, method: str, parent: object) -> bool:
        """True for a call of a function that came to the sender inside a call of somebody else's.

        The client libraries name that call's session. Who gives somebody a function of the server would
        have it run with that one's rights.
        """
        return not method.startswith(_BUILT_IN) and not self.awaits(sender, parent)

    def _refuse_lent(self, request: Request) -> None:
        self.ports.upcalls.on_refused(
            request.sender, request.sender.workspace, "a function that somebody else lent"
        )
        text = (
            "Permission denied: a caller lent you this function of the server; "
            "it would run with your rights, not with the caller's."
        )
        self._fail(request, ForeignFunction(text))

    def _take_answer(
        self, sender: Client, session: str, name: str, args: list[Any], opened: Opened | None
    ) -> None:
        if name != "heartbeat":
            call = sender.pending.pop((self, session), None)
        else:
            call = sender.pending.get((self, session))
        if call is not None:
            sender.outbox.acknowledge(call[0])
            sender.doubts.pop((self, session), None)
        self.take_answer(sender, session, name, args, opened)

    def _request(
        self, sender: Client, main: dict[str, Any], extra: dict[str, Any], opened: Opened | None = None
    ) -> Request:
        session = main.get("session")
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
        elif promise and isinstance(session, str):
            names = {name: f"{session}.{name}" for name in names}
        if not isinstance(interval, int | float) or not interval > 0:
            interval = 15.0
        return Request(
            sender,
            sender.context,
            names["resolve"],
            names["reject"],
            names["heartbeat"],
            min(max(float(interval), MIN_INTERVAL_S), MAX_INTERVAL_S),
            session if isinstance(session, str) else None,
            self._address_in(main),
            opened,
        )

    def _address_in(self, main: dict[str, Any]) -> str:
        """This peer as the caller addressed it: one that calls for many workspaces has no own."""
        to = main.get("to")
        return to if not self.workspace and isinstance(to, str) and "/" in to else self.address

    def _start(self, request: Request, path: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        service_id, _, name = path.partition(".")
        if service_id == "built-in" and self._answer_built_in(request, name, args, kwargs):
            return
        self._launch(request, path, self._serve(request, service_id, name, args, kwargs))

    def _launch(self, request: Request, path: str, work: Coroutine[Any, Any, Any]) -> None:
        """Run a call in a task of its own, as far as its caller has not too many running."""
        sender = request.sender
        running = self._running.get(sender.address, 0) + 1
        if running > MAX_RUNNING_PER_CLIENT or (
            running > MAX_RUNNING.free and not self._running_together.note(sender, running)
        ):
            work.close()
            text = f"Too many calls are running: {running - 1} of this client, or your user's or address's."
            self._fail(request, LimitReached(text))
            return
        self._running[sender.address] = running
        self._run_task(self._run(request, path, work))

    def _run_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run until it ends or the peer is closed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(
        self, request: Request, service_id: str, name: str, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        service = self.services.get(service_id)
        if service is None:
            raise ServiceNotFound(f"Service not found: {service_id[:200]}")
        self._check_arguments(request, [args, kwargs])
        return await service.invoke(name, args, kwargs, request.context)

    async def _call_back(
        self, request: Request, session_id: str, name: str, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        session = self._sessions.find(session_id, request.sender.address)
        if session is None:
            raise NotFound("The request to which this function belongs is over.")
        self._check_arguments(request, [args, kwargs])
        return await session.call(name, args, kwargs)

    def _check_arguments(self, request: Request, arguments: list[Any]) -> None:
        """Make targets absolute; nothing is kept or run that names somebody else than its sender."""
        sender = request.sender
        try:
            opened = request.opened
            found = absolute_targets(arguments, sender.workspace) if opened is None else opened.found()
            check_owner(found, sender.address)
        except ForeignFunction:
            self.ports.upcalls.on_refused(
                sender, sender.workspace, "a function of somebody else in an argument"
            )
            raise

    async def _run(self, request: Request, path: str, work: Awaitable[Any]) -> None:
        timer = self.ports.clock.call_later(FIRST_HEARTBEAT_S, self._beat, request, timers := [])
        timers.append(timer)
        try:
            await self._resolve(request, await _packed({"args": [await work]}))
        except HyphaError as error:
            self._fail(request, error)
        except Exception:
            fault_id = random_id(8)
            logger.exception("Fault %s in %s", fault_id, path[:200])
            self._fail(request, ServerFault(f"The server failed; its log has the details under {fault_id}."))
        finally:
            timers[-1].cancel()
            sender = request.sender
            left = self._running.get(sender.address, 1) - 1
            if left >= MAX_RUNNING.free:
                self._running_together.note(sender, left)
            if left > 0:
                self._running[sender.address] = left
            else:
                self._running.pop(sender.address, None)

    def _beat(self, request: Request, timers: list[Timer]) -> None:
        if request.sender.ended or request.heartbeat is None:
            return
        self._send_answer(request, request.heartbeat, None)
        timers.append(self.ports.clock.call_later(request.interval_s, self._beat, request, timers))
        del timers[:-1]

    def _send_answer(self, request: Request, method: str, body: bytes | None) -> None:
        sender = request.sender
        if sender.ended:
            return
        main: dict[str, Any] = {
            "type": "method",
            "from": request.address,
            "to": sender.address,
            "method": method,
        }
        if request.session is not None:
            main["parent"] = request.session
        head = pack(main)
        sender.deliver(head if body is None else seal(head, body), Kind.ANSWER)

    async def _resolve(self, request: Request, body: list[bytes]) -> None:
        if request.resolve is None:
            return
        if sum(map(len, body)) <= SINGLE_FRAME_BYTES - 512 or request.session is None:
            self._send_answer(request, request.resolve, b"".join(body))
            return
        main = {
            "type": "method",
            "from": request.address,
            "to": request.sender.address,
            "method": request.resolve,
            "parent": request.session,
        }
        message = Pieces([pack(main), *body])
        await self.send_chunked(request.sender, message, request.session, True, self._answering(request))

    def _answering(self, request: Request) -> Context | None:
        """The identity for a large answer: a peer without a workspace answers as it was addressed."""
        return None if self.workspace else Context(self._root, request.address.partition("/")[0])

    def _fail(self, request: Request, error: HyphaError) -> None:
        if request.reject is None or request.sender.ended:
            return
        session = request.reject.partition(".")[0]
        request.sender.deliver(
            reject_frame(session, request.address, request.sender.address, error), Kind.ANSWER
        )

    def _answer_built_in(self, request: Request, name: str, args: list[Any], kwargs: dict[str, Any]) -> bool:
        """Answer the functions that every peer hosts at once; False for those not known here."""
        try:
            if name == "get_service":
                service_id = args[0] if args else kwargs.get("service_id")
                name = str(service_id).rpartition(":")[2]
                body = self._described.get(name)
                if name == "built-in":
                    body = pack({"args": [self._describe_built_in(request.address)]})
                if body is None:
                    raise ServiceNotFound(f"Service not found: {str(service_id)[:200]}")
                if not self.is_usable(name, request.context):
                    raise PermissionDenied(f"Permission denied for getting protected service: {name}")
                if request.resolve is not None:
                    self._send_answer(request, request.resolve, body)
                return True
            handler = self._built_in.get(name)
            if handler is None:
                raise FunctionNotFound(f"Function not found: built-in.{name[:200]}")
            result = handler(self, request, args, kwargs)
            if asyncio.iscoroutine(result):
                self._launch(request, name, result)
            elif request.resolve is not None:
                self._send_answer(request, request.resolve, pack({"args": [result]}))
        except HyphaError as error:
            self._fail(request, error)
            self._give_up_chunks(request, name, args, kwargs, error)
        except TypeError:
            self._fail(request, InvalidRequest(f"built-in.{name}: its arguments have wrong types."))
        return True

    def _give_up_chunks(
        self, request: Request, name: str, args: list[Any], kwargs: dict[str, Any], error: HyphaError
    ) -> None:
        """A large answer of which a chunk was refused will never come; its sender only sees the refusal."""
        names = _CHUNK_ARGUMENTS.get(name)
        if names is not None:
            given = dict(zip(names, _positional(args, kwargs, names), strict=True))
            if given["heartbeat"]:
                self.give_up(request.sender, given["key"], error.message)

    def _describe_built_in(self, address: str) -> dict[str, Any]:
        """The endpoint that every peer hosts; callers read it before a large message.

        See docs/spec/wire-protocol.md#built-in.
        """
        described: dict[str, Any] = {
            "id": "built-in",
            "name": f"Builtin services for {address}",
            "type": "built-in",
            "config": {"require_context": True, "visibility": "public", "api_version": API_VERSION},
        }
        for path in ("get_service", *self._built_in):
            group, _, name = path.rpartition(".")
            method = method_value(address, f"services.built-in.{path}", self.server_url, name, None, None)
            (described.setdefault(group, {}) if group else described)[name] = method
        return described

    def _ping(self, _request: Request, args: list[Any], _kwargs: dict[str, Any]) -> Any:
        return "pong"

    def _cache_create(self, request: Request, args: list[Any], kwargs: dict[str, Any]) -> Any:
        key, heartbeat, overwrite = _positional(args, kwargs, _CHUNK_ARGUMENTS["message_cache.create"])
        self._touch(request, key, heartbeat)
        self.unfinished.of(request.sender).create(key, self.ports.clock.time(), bool(overwrite))

    def _cache_append(self, request: Request, args: list[Any], kwargs: dict[str, Any]) -> Any:
        key, data, heartbeat = _positional(args, kwargs, _CHUNK_ARGUMENTS["message_cache.append"])
        self._touch(request, key, heartbeat)
        self.unfinished.of(request.sender).add(key, None, data)

    def _cache_set(self, request: Request, args: list[Any], kwargs: dict[str, Any]) -> Any:
        key, index, data, heartbeat = _positional(args, kwargs, _CHUNK_ARGUMENTS["message_cache.set"])
        if not isinstance(index, int):
            raise InvalidRequest("The index of a chunk must be a small non-negative integer.")
        self._touch(request, key, heartbeat)
        self.unfinished.of(request.sender).add(key, index, data)

    def _cache_remove(self, request: Request, args: list[Any], kwargs: dict[str, Any]) -> Any:
        (key,) = _positional(args, kwargs, ("key",))
        self.unfinished.of(request.sender).remove(key)

    def _cache_process(self, request: Request, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Assemble a message and handle it as a frame of its sender.

        See docs/spec/wire-protocol.md#large-messages.

        A large one, or one of many values, is opened in a thread, so that the others need not wait.
        """
        key, heartbeat = _positional(args, kwargs, _CHUNK_ARGUMENTS["message_cache.process"])
        self._touch(request, key, heartbeat)
        pieces = self.unfinished.take(request.sender, key)
        self._check_message(request.sender, pieces)
        if sum(map(len, pieces)) < OPENED_IN_THREAD_BYTES:
            with suppress(TooManyValues):
                self._dispatch_opened(request, *open_message(pieces, MAX_QUICK_VALUES))
                return None
        self._check_expected(request.sender, read_envelope(Pieces(pieces))[0])
        return self._open_large(request, pieces, key if heartbeat else None)

    def _check_expected(self, sender: Client, main: dict[str, Any]) -> None:
        """Refuse a large message that nobody waits for, before it is opened."""
        method = str(main.get("method"))
        session = method.partition(".")[0]
        is_awaited = self.awaits(sender, session) if is_answer(main) else self._has_session(sender, session)
        if not method.startswith(SERVICES) and not is_awaited:
            raise NotFound(f"session does not exist anymore: {session[:80]}")

    def _has_session(self, sender: Client, session: str) -> bool:
        return self._sessions.find(session, sender.address) is not None

    def _check_message(self, sender: Client, pieces: list[bytes]) -> None:
        size = sum(map(len, pieces))
        if size <= STRANGER_BYTES or not sender.user.is_anonymous:
            return
        main, _ = read_envelope(Pieces(pieces))
        try:
            self._check_size(main, size)
        except TooManyBytes as error:
            self.ports.refuse_malformed(sender, error)  # ends the call that was in the message
            raise

    async def _open_large(self, request: Request, pieces: list[bytes], session: object) -> None:
        try:
            opened = await self._opener.message(pieces, self._max_values, request.sender.workspace)
            self._dispatch_opened(request, opened.main, opened.extra, opened)
        except (MalformedFrame, TypeError) as error:
            self.give_up(request.sender, session, str(error))
            raise MalformedFrame(str(error)) from None

    def _dispatch_opened(
        self, request: Request, main: dict[str, Any], extra: dict[str, Any], opened: Opened | None = None
    ) -> None:
        if main.get("type") != "method":
            raise MalformedFrame("Malformed frame: only calls may be sent in chunks")
        if not request.sender.ended:
            self._dispatch(request.sender, main, extra, opened)

    def _touch(self, request: Request, key: Any, heartbeat: Any) -> None:
        """With `heartbeat` the key is a session of ours, which waits for its full time again."""
        if not heartbeat:
            return
        if not self.awaits(request.sender, key):
            raise NotFound(f"session does not exist anymore: {str(key)[:80]}")
        self.take_answer(request.sender, key, "heartbeat", [])

    async def close(self) -> None:
        """Cancel running calls, drop unfinished messages."""
        self.unfinished.clear()
        self._opener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    _built_in: ClassVar[dict[str, _Handler]] = {
        "ping": _ping,
        "message_cache.create": _cache_create,
        "message_cache.append": _cache_append,
        "message_cache.set": _cache_set,
        "message_cache.remove": _cache_remove,
        "message_cache.process": _cache_process,
    }


_CHUNK_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "message_cache.create": ("key", "heartbeat", "overwrite"),
    "message_cache.append": ("key", "data", "heartbeat"),
    "message_cache.set": ("key", "index", "data", "heartbeat"),
    "message_cache.process": ("key", "heartbeat"),
}


def _text(main: Mapping[str, Any], key: str) -> str | None:
    value = main.get(key)
    return value if isinstance(value, str) else None


def _positional(args: list[Any], kwargs: dict[str, Any], names: tuple[str, ...]) -> list[Any]:
    values = [*args, *[None] * (len(names) - len(args))][: len(names)]
    return [kwargs.get(name, value) for name, value in zip(names, values, strict=True)]


async def _packed(answer: dict[str, Any]) -> list[bytes]:
    """The body of an answer; one of many values is packed beside the event loop."""
    return await asyncio.to_thread(pack_in_turns, answer) if is_large(answer) else pack_pieces(answer)
