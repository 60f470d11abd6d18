"""What a frame may carry between clients that do not have the same rights.

The library of a receiver turns a function value into a call that runs with the receiver's own rights: of
the manager, of the receiver's other clients. So the sender of one may name only itself; within one
workspace, also the other clients there. And what the receiver's library cannot read may end the receiver's
program. Frames between clients with the same rights are not looked into, and nobody can look into
encrypted ones. Large messages are looked into as their chunks pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hypha.auth.users import OUTSIDER_TEXT
from hypha.errors import ForeignFunction, HyphaError, MalformedFrame, NotAuthenticated, PermissionDenied
from hypha.hub.events import check_event
from hypha.hub.parcels import Parcels
from hypha.wire.arriving import ArrivingMessage
from hypha.wire.bounded import MAX_QUICK_VALUES
from hypha.wire.frames import Buffer, decode_body, in_call
from hypha.wire.pieces import open_message
from hypha.wire.readable import Reader, check_entries, check_sealed, is_session, may_be_nested
from hypha.wire.values import BUILT_IN, MESSAGE_CACHE, SERVICES, is_function, maps_in

if TYPE_CHECKING:
    from hypha.clock import Clock
    from hypha.hub.client import Client
    from hypha.hub.peers import Peers
    from hypha.hub.upcalls import Upcalls

_TARGETS = re.compile(rb"_rtarget")
_SEALED = re.compile(rb"_enc")
_METHOD_KEYS = ("_rmethod", "_rclose_method")
_SESSION_KEYS = ("session", "parent")
_HIDDEN = ".__"


def needs_look(main: dict[str, Any], method: str, data: Buffer, head: int) -> bool:
    """Whether a frame may hold a map, or is a chunk: this is all that is done for one that isn't."""
    return (
        may_be_nested(data, head)
        or _HIDDEN in method
        or method.startswith(MESSAGE_CACHE)
        or ("session" in main and not is_session(main["session"]))
        or ("parent" in main and not is_session(main["parent"]))
    )


class Border:
    """Looks into frames that hold function values and pass between clients with different rights."""

    def __init__(self, peers: Peers, upcalls: Upcalls, clock: Clock) -> None:
        self._peers = peers
        self._upcalls = upcalls
        self._reader = Reader()
        self.parcels = Parcels(self._open_message, clock.time)
        """Messages in chunks that are passing."""

    def admits(self, sender: Client, target: Client, main: dict[str, Any], data: Buffer, head: int) -> bool:
        """Whether the frame may pass; if not, the call to which it belongs is ended with the reason.

        Raises:
            MalformedFrame: the library of the receiver may not be able to read it.
        """
        method = str(main.get("method"))
        if sender.is_outsider:
            self._refuse(sender, target, main, method, NotAuthenticated(OUTSIDER_TEXT))
            return False
        try:
            self._check_frame(sender, target, main, method, data, head)
        except MalformedFrame as error:
            raise in_call(main, error) from None
        except HyphaError as error:
            self._refuse(sender, target, main, method, error)
            return False
        return True

    def check_event(self, main: dict[str, Any], data: Buffer, head: int) -> None:
        """Let an event pass to others.

        Raises:
            MalformedFrame: their libraries may not be able to read it.
        """
        try:
            self._reader.check(data[:head])
            self._check_readable(main, data, head)
        except MalformedFrame as error:
            raise in_call(main, error) from None

    def _check_readable(self, main: dict[str, Any], data: Buffer, head: int) -> None:
        if head < len(data):
            self._reader.check(data[head:])
        self._check_sessions(main)

    @staticmethod
    def _check_sessions(main: dict[str, Any]) -> None:
        for key in _SESSION_KEYS:
            if key in main and not is_session(main[key]):
                raise MalformedFrame(f"Malformed frame: no {key} has such a name")

    def _check_frame(
        self, sender: Client, target: Client, main: dict[str, Any], method: str, data: Buffer, head: int
    ) -> None:
        if _HIDDEN in method:
            raise PermissionDenied("Permission denied: no path of a method has a name that begins with '__'.")
        if method.startswith(MESSAGE_CACHE):
            self._check_chunk(sender, target, method[len(MESSAGE_CACHE) :], data, head)
            self._check_sessions(main)
            return
        self._check_readable(main, data, head)
        if _SEALED.search(data, head) is not None:
            check_sealed(decode_body(data, head, MAX_QUICK_VALUES, any_keys=True))
        if _TARGETS.search(data, head) is not None and not self._names_sender_alone(sender, data, head):
            self._check(sender, target, data, head)

    def _check_chunk(self, sender: Client, target: Client, function: str, data: Buffer, head: int) -> None:
        """Let a call of the receiver's message cache pass only for messages that are looked into."""
        _, body = open_message([bytes(data)])
        for item in maps_in({key: value for key, value in body.items() if key != "args"}):
            check_entries(item.items())
            if is_function(item) and not self._may_name(sender, target, item):
                raise _foreign(sender)
        self.parcels.check(sender, target, function, body)

    def _open_message(self, sender: Client, target: Client) -> ArrivingMessage:
        """What is to be checked in a message that comes in chunks, as in a frame of its own."""

        def barred(name: str) -> str | None:
            return self._barred(sender, target, name)

        return ArrivingMessage(lambda main: self._check_envelope(sender, target, main), barred)

    def _check_envelope(self, sender: Client, target: Client, main: dict[str, Any]) -> None:
        kind, method = main.get("type"), main.get("method", "")
        if not isinstance(kind, str) or not isinstance(method, str):
            raise MalformedFrame("Malformed message: no type, or no method")
        self._check_sessions(main)
        if kind != "method":
            check_event(sender, kind, target.workspace, "", 0)
        elif _HIDDEN in method or method.startswith(MESSAGE_CACHE):
            raise PermissionDenied("Permission denied: such a call does not come in chunks.")
        elif method.startswith(SERVICES) and sender.realm != target.workspace:
            if not self._upcalls.membership.may_call(sender, target, method):
                raise protected(sender, target, method)

    @staticmethod
    def _names_sender_alone(sender: Client, data: Buffer, head: int) -> bool:
        own = {sender.address.encode()}
        if sender.client_id != sender.workspace:  # libraries do not complete it to an address then
            own.add(sender.client_id.encode())
        return all(name in own for name in _names(data, head))

    def _check(self, sender: Client, target: Client, data: Buffer, head: int) -> None:
        """Look at the function values themselves.

        Raises:
            ForeignFunction: one names somebody whom the sender may not name. MalformedFrame, InvalidRequest:
                they cannot be read.
        """
        for item in maps_in(decode_body(data, head, MAX_QUICK_VALUES, any_keys=True)):
            if is_function(item) and not self._may_name(sender, target, item):
                raise _foreign(sender)

    def _may_name(self, sender: Client, target: Client, value: dict[Any, Any]) -> bool:
        barred = self._barred(sender, target, value.get("_rtarget"))
        return barred is None or not any(str(value.get(key, "")).startswith(barred) for key in _METHOD_KEYS)

    def _barred(self, sender: Client, target: Client, name: object) -> str | None:
        """With what beginning a method may not be named together with a client: empty for any."""
        if not isinstance(name, str) or name == sender.workspace:
            return ""
        address = name if "/" in name else f"{sender.workspace}/{name}"
        if address == sender.address:
            return None
        if address == target.address:  # what the receiver handed out itself, its session being a secret
            return SERVICES
        workspace, _, client_id = address.partition("/")
        is_neighbour = workspace == sender.workspace == target.workspace
        return BUILT_IN if is_neighbour and self._peers.find(address, client_id) is None else ""

    def _refuse(
        self, sender: Client, target: Client, main: dict[str, Any], method: str, error: HyphaError
    ) -> None:
        what = "a frame" if sender.is_outsider else "a function of somebody else in a frame"
        self._upcalls.on_refused(sender, target.workspace, what)
        session, _, name = method.partition(".")
        if name == "resolve" or name == "reject":
            sender.pending.pop((target, session), None)
            sender.doubts.pop((target, session), None)
            target.reject(session, sender.address, error)
        elif isinstance(main.get("session"), str):
            sender.reject(main["session"], target.address, error)


def refusal_of(upcalls: Upcalls, sender: Client, target: Client, method: str) -> PermissionDenied | None:
    """Why a caller of another workspace may not call a service, which is noted; None if it may."""
    if upcalls.membership.may_call(sender, target, method):
        return None
    upcalls.on_refused(sender, target.workspace, "a call of a protected service")
    return protected(sender, target, method)


def protected(sender: Client, target: Client, method: str) -> PermissionDenied:
    """Why a caller of another workspace, or with an expired token, may not call a service."""
    why = f"workspace mismatch: {target.workspace} != {sender.workspace}"
    if sender.user.is_lapsed:
        why = "the token of this connection has expired: fetch a new one and connect anew"
    return PermissionDenied(f"Permission denied for invoking protected method {method[:256]}, {why}")


def _foreign(sender: Client) -> ForeignFunction:
    return ForeignFunction(
        f"A function in a value that {sender.address} sent names somebody else; "
        "hand over only functions of your own."
    )


def _names(data: Buffer, head: int) -> Iterator[bytes | None]:
    """The text that follows each key `_rtarget`, and whatever looks like one; None for what is no text."""
    for found in _TARGETS.finditer(data, head):
        at = found.end()
        first = data[at] if at < len(data) else 0
        if 0xA0 <= first < 0xC0:
            begin, size = at + 1, first & 0x1F
        elif first == 0xD9 and at + 1 < len(data):
            begin, size = at + 2, data[at + 1]
        elif first == 0xDA and at + 2 < len(data):
            begin, size = at + 3, data[at + 1] << 8 | data[at + 2]
        else:
            yield None
            continue
        yield bytes(data[begin : begin + size])
