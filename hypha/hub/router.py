"""The hot path: one frame in, one frame out (docs/spec/wire-protocol.md#frames).

No task, no await, no log call and no registry access per routed frame.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hypha.errors import InvalidRequest, MalformedFrame, PermissionDenied
from hypha.hub.border import Border, needs_look, refusal_of
from hypha.hub.events import check_event
from hypha.hub.notices import Notices
from hypha.hub.outbox import REPEATABLE_METHODS, Kind
from hypha.hub.refusals import absent, unreadable
from hypha.ids import random_id
from hypha.wire.frames import ANSWERS, Buffer, EnvelopeParser, Frame

if TYPE_CHECKING:
    from hypha.clock import Clock
    from hypha.hub.client import Client
    from hypha.hub.clients import Clients
    from hypha.hub.events import Events
    from hypha.hub.flow import Flow
    from hypha.hub.outbox import Caller
    from hypha.hub.peers import Peers
    from hypha.hub.stats import HubStats
    from hypha.hub.traffic import Traffic
    from hypha.hub.upcalls import Upcalls

logger = logging.getLogger(__name__)

MAX_PASSED_BYTES = 1024 * 1024 - 4096
"""A larger frame breaks the link of a Python client. The libraries send what is larger than 257 KiB in
chunks, so no honest frame is near it; the rest is for the sender's identity."""
MAX_SESSION_CHARS = 256
"""Names of calls are kept until their answers pass; those of the libraries have some 20 characters."""
DEFAULT_INTERVAL_S = 15.0
_CALL, _ANSWER, _REPEATABLE, _EVENT = int(Kind.CALL), int(Kind.ANSWER), int(Kind.REPEATABLE), int(Kind.EVENT)


class Router:
    """Decides where a client's frame goes and passes it on."""

    def __init__(
        self,
        clients: Clients,
        peers: Peers,
        border: Border,
        flow: Flow,
        events: Events,
        upcalls: Upcalls,
        stats: HubStats,
        traffic: Traffic,
        clock: Clock,
    ) -> None:
        self._clients = clients
        self._find = clients.by_address.get
        """The client under an address as it stands; a dict's own method, for every frame."""
        self._peers = peers
        self._border = border
        self._flow = flow
        self._events = events
        self._upcalls = upcalls
        self._stats = stats
        self._traffic = traffic
        self._time = clock.time
        self._parse = EnvelopeParser().parse
        self._notices = Notices(clock)

    def route(self, sender: Client, data: Buffer) -> None:
        """Route one binary frame of a client; a bad one is dropped, its caller is told."""
        self._traffic.frames += 1
        try:
            main, head, interval_s = self._parse(data)
            to: Any = main.get("to")
            kind = main.get("type")
            if kind == "method":
                target = self._find(to)
                if target is not None and not target.fails_fast:
                    self.forward(sender, target, main, data, head, interval_s)
                    return
                self._resolve(sender, to, main, data, head, interval_s)
            else:
                self._route_event(sender, kind, to, main, data, head)
        except MalformedFrame as error:
            self.refuse_malformed(sender, error)
        except TypeError:
            self.refuse_malformed(sender, MalformedFrame("Malformed frame: its fields have wrong types"))
        except Exception:
            logger.exception("A frame of %s could not be handled", sender.address)
        if sender.pressure is not None:
            self._flow.pause(sender, sender)

    def forward(
        self,
        sender: Client,
        target: Client,
        main: dict[str, Any],
        data: Buffer,
        head: int,
        interval_s: float | None = None,
    ) -> None:
        """Pass a call or an answer on to a client, with the sender's true identity."""
        method, session = main.get("method"), main.get("session")
        if (
            type(method) is not str
            or len(data) > MAX_PASSED_BYTES
            or (session is not None and (type(session) is not str or len(session) > MAX_SESSION_CHARS))
        ):
            raise _unfit(main, len(data))
        if sender.rights is not target.rights and (
            (sender.is_outsider or needs_look(main, method, data, head))
            and not self._border.admits(sender, target, main, data, head)
        ):
            return
        if method.startswith("services."):
            if sender.realm != target.workspace and not self._may_call(sender, target, method, main):
                return
            frame = sender.stamp.apply(main, data, head, target.address, True)
            if session is None:
                if sender.rights is not target.rights:
                    frame = _traceable(sender, target, main, data, head)
                target.deliver(frame, _EVENT)
            else:
                kind = _REPEATABLE if method in REPEATABLE_METHODS else _CALL
                target.calls += 1
                target.deliver(frame, kind, (sender, session), interval_s or DEFAULT_INTERVAL_S)
        else:
            self._forward_session(sender, target, method, main, data, head, interval_s)
        if target.pressure is not None:
            self._flow.pause(sender, target)

    def _may_call(self, sender: Client, target: Client, method: str, main: dict[str, Any]) -> bool:
        """Whether a caller of another workspace may call this service; if not, the caller is told."""
        error = refusal_of(self._upcalls, sender, target, method)
        if error is None:
            return True
        session = _session(main)
        if session is not None:
            sender.reject(session, target.address, error)
        return False

    def _forward_session(
        self,
        sender: Client,
        target: Client,
        method: str,
        main: dict[str, Any],
        data: Buffer,
        head: int,
        interval_s: float | None,
    ) -> None:
        """Pass on an answer, heartbeat or callback; an answer acknowledges the call it answers."""
        frame = sender.stamp.apply(main, data, head, target.address, False)
        session, _, name = method.partition(".")
        if name == "resolve" or name == "reject":
            call = sender.pending.pop((target, session), None)
            if call is not None:
                outbox = sender.outbox
                if call[0] >= outbox.base:
                    outbox.acknowledge(call[0])
                if sender.doubts:
                    sender.doubts.pop((target, session), None)
            target.deliver(frame, _ANSWER)
        elif name == "heartbeat":
            self._note_heartbeat(sender, (target, session))
            target.deliver(frame, _ANSWER)
        else:
            waiting = main.get("session")
            if waiting is None:
                target.deliver(frame, _EVENT)
            else:
                target.deliver(frame, _CALL, (sender, waiting), interval_s or DEFAULT_INTERVAL_S)

    def _note_heartbeat(self, sender: Client, key: tuple[Client, str]) -> None:
        call = sender.pending.get(key)
        if call is not None:
            sender.outbox.acknowledge(call[0])
            sender.pending[key] = (call[0], self._time(), call[2])
            sender.doubts.pop(key, None)

    def _resolve(
        self,
        sender: Client,
        to: Any,
        main: dict[str, Any],
        data: Buffer,
        head: int,
        interval_s: float | None,
    ) -> None:
        """Route a call whose `to` is not the address of a live client as it stands."""
        if type(to) is not str or not to:
            raise MalformedFrame("Malformed frame: no `to`", session=_session(main))
        address = to if "/" in to else f"{sender.workspace}/{to}"
        workspace, _, client_id = address.partition("/")
        target = self._find(address)
        if target is not None and target.takes(main.get("method")):
            self.forward(sender, target, main, data, head, interval_s)
            return
        peer = self._peers.at(workspace, client_id, address)
        if peer is not None:
            peer.receive(sender, main, data, head)
            return
        session = _session(main)
        if session is not None:
            elsewhere = self._upcalls.elsewhere
            if elsewhere is not None and target is None and elsewhere.seek(sender, address, data):
                return
            self._stats.rejects_not_delivered += 1
            sender.reject(session, address, self._clients.absent(address))
        elif target is not None and str(main.get("method")).endswith((".resolve", ".reject")):
            self.forward(sender, target, main, data, head, None)  # kept until its client is back

    def _route_event(
        self, sender: Client, kind: Any, to: Any, main: dict[str, Any], data: Buffer, head: int
    ) -> None:
        if type(kind) is not str or type(to) is not str or not to:
            raise MalformedFrame("Malformed frame: no `type` or no `to`", session=_session(main))
        session = _session(main)
        address = to if "/" in to else f"{sender.workspace}/{to}"
        workspace, _, client_id = address.partition("/")
        try:
            size = len(data) + len(address) + len(sender.stamp.ws_user)
            check_event(sender, kind, workspace, client_id, size)
        except (InvalidRequest, PermissionDenied) as error:
            if workspace != sender.workspace:
                self._upcalls.on_refused(sender, workspace, "an event")
            if session is not None:
                sender.reject(session, address, error)
            else:
                self._notices.event_refused(sender, kind, error)
            return
        target = self._find(address)
        if target is None:
            reaches_others = self._events.reach_others(workspace, kind, sender)
        else:
            reaches_others = target.rights is not sender.rights
        if reaches_others:
            self._border.check_event(main, data, head)
        frame = sender.stamp.apply(main, data, head, address, True)
        if client_id == "*":
            self._events.broadcast(workspace, kind, frame, sender)
            return
        if target is not None:
            target.deliver(frame, _EVENT)
            if target.pressure is not None:
                self._flow.pause(sender, target)
        elif session is not None:
            sender.reject(session, address, absent(address))

    def refuse_malformed(self, sender: Client, error: MalformedFrame) -> None:
        """Drop a frame; its caller is told, if it could be read who that is."""
        self._stats.malformed += 1
        level = logging.INFO if self._notices.may_log() else logging.DEBUG
        logger.log(level, "Frame of %s dropped: %s", sender.address, error)
        if error.method and error.method.endswith(ANSWERS) and error.target:
            self._end_unanswered(sender, error.method, error.target, error)
        elif error.session:
            target = error.target or f"*/{self._peers.manager_id}"
            source = target if "/" in target else f"{sender.workspace}/{target}"
            sender.reject(error.session, source, error)

    def _end_unanswered(self, sender: Client, method: str, to: str, error: MalformedFrame) -> None:
        """Tell a caller that the answer to its call could not be read."""
        address = to if "/" in to else f"{sender.workspace}/{to}"
        caller = self._caller(address)
        session, _, name = method.rpartition(".")
        if caller is None or name == "heartbeat" or sender.pending.pop((caller, session), None) is None:
            return
        sender.doubts.pop((caller, session), None)
        caller.reject(session, sender.address, unreadable(sender.address, error.message))

    def _caller(self, address: str) -> Caller | None:
        """Who calls from this address: a client, or a peer inside the server."""
        workspace, _, client_id = address.partition("/")
        client = self._find(address)
        if client is not None:
            return client
        peer = self._peers.at(workspace, client_id, address)
        return peer.calls if peer is not None else None


def _traceable(sender: Client, target: Client, main: dict[str, Any], data: Buffer, head: int) -> Frame:
    """A call that wants no answer, with a session: what its arguments make the receiver call names it."""
    main.update(session=random_id(), ctx=None)
    return sender.stamp.apply(main, data, head, target.address, True)


def _session(main: dict[str, Any]) -> str | None:
    """The name of a call, if it is one that can be answered."""
    session = main.get("session")
    return session if isinstance(session, str) and len(session) <= MAX_SESSION_CHARS else None


def _unfit(main: dict[str, Any], size: int) -> MalformedFrame:
    """Why a call or an answer cannot be passed on."""
    method, target = main.get("method"), main.get("to")
    if type(method) is not str:
        text = "no method"
    elif size > MAX_PASSED_BYTES:
        text = f"{size} bytes; clients take {MAX_PASSED_BYTES} at most, send more in chunks"
    else:
        text = f"the session must be text of at most {MAX_SESSION_CHARS} characters"
    return MalformedFrame(
        f"Malformed frame: {text}",
        session=_session(main),
        target=target if isinstance(target, str) else None,
        method=method if isinstance(method, str) else None,
    )
