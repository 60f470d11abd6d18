"""What a frame may carry between clients that do not have the same rights.

The library of a receiver turns a function value into a call that runs with the receiver's own rights: of
the manager, of the receiver's other clients. So whoever sends one may name nobody but itself; within one
workspace, also the other clients there. Frames between clients with the same rights are not looked into,
and nobody can look into encrypted ones. The chunks of large messages are not put together here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hypha.auth.users import OUTSIDER_TEXT
from hypha.errors import ForeignFunction, HyphaError, NotAuthenticated
from hypha.wire.bounded import MAX_QUICK_VALUES
from hypha.wire.frames import Buffer, decode_body
from hypha.wire.values import SERVICES, is_function, maps_in

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.hub import Hub

_TARGETS = re.compile(rb"_rtarget")
_METHOD_KEYS = ("_rmethod", "_rclose_method")
_UNSEEN = "services.built-in.message_cache."
find_target = _TARGETS.search
"""Whether a body may hold a function at all: this is all that is done for a frame without."""


class Border:
    """Looks into frames that hold function values and pass between clients with different rights."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def admits(self, sender: Client, target: Client, main: dict[str, Any], data: Buffer, head: int) -> bool:
        """Whether the frame may pass; if not, the call to which it belongs is ended with the reason."""
        method = str(main.get("method"))
        if sender.is_outsider:
            self._refuse(sender, target, main, method, NotAuthenticated(OUTSIDER_TEXT))
            return False
        if method.startswith(_UNSEEN) or self._names_sender_alone(sender, data, head):
            return True
        try:
            self._check(sender, target, data, head)
        except HyphaError as error:
            self._refuse(sender, target, main, method, error)
            return False
        return True

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
                raise ForeignFunction(
                    f"A function in a value that {sender.address} sent names somebody else; "
                    "hand over only functions of your own."
                )

    def _may_name(self, sender: Client, target: Client, value: dict[Any, Any]) -> bool:
        name = value.get("_rtarget")
        if not isinstance(name, str) or name == sender.workspace:
            return False
        address = name if "/" in name else f"{sender.workspace}/{name}"
        if address == sender.address:
            return True
        if address == target.address:  # what the receiver handed out itself, its session being a secret
            return not any(str(value.get(key, "")).startswith(SERVICES) for key in _METHOD_KEYS)
        workspace, _, client_id = address.partition("/")
        is_neighbour = workspace == sender.workspace == target.workspace
        return is_neighbour and self._hub.inner_peer(address, client_id) is None

    def _refuse(
        self, sender: Client, target: Client, main: dict[str, Any], method: str, error: HyphaError
    ) -> None:
        what = "a frame" if sender.is_outsider else "a function of somebody else in a frame"
        self._hub.on_refused(sender, target.workspace, what)
        session, _, name = method.partition(".")
        if name == "resolve" or name == "reject":
            sender.pending.pop((target, session), None)
            sender.doubts.pop((target, session), None)
            target.reject(session, sender.address, error.rpc_text)
        elif isinstance(main.get("session"), str):
            sender.reject(main["session"], target.address, error.rpc_text)


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
