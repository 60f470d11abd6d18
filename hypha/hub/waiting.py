"""What waits for clients between two links, and for how long (docs/spec/reconnecting.md#patience).

Also the calls in doubt: those that were on their way when the link broke of a client that is back.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from hypha.hub.outbox import CallKey, Entry, Kind, PendingCall
from hypha.hub.refusals import too_much_waits
from hypha.hub.shares import Room, Shares

if TYPE_CHECKING:
    from hypha.hub.callers import Callers
    from hypha.hub.client import Client, Hold
    from hypha.hub.flow import Flow

MIB = 1024 * 1024
MAX_HELD_BYTES = Room(free=64 * 1024, party=128 * MIB, strangers=256 * MIB, total=1024 * MIB)
"""What waits for clients without a link, of all of them together."""
FRAME_COST_BYTES = 256
"""What a frame that waits costs beside its bytes: many tiny ones take memory and time too."""
LOOK_PAUSE_S = 1e-5
"""Pause after a look at what waits for a held client, for each call and frame, so that looking takes a small
part of the time."""
MIN_GRACE_S = 2.0
LAST_GRACE_S = 0.5


def patience_until(call: PendingCall) -> float:
    """Loop time at which a call that waits must be ended by us, before its caller ends it.

    It is 1 s before the caller's timeout, but never less than half of it.
    """
    _, since, interval_s = call
    return since + max(2 * interval_s - 1.0, interval_s)


class Waiting:
    """The clients that are held, and what waits for them.

    Args:
        held_limit_bytes: how much is kept for one of them.
    """

    def __init__(self, flow: Flow, callers: Callers, held_limit_bytes: int) -> None:
        self.held_limit_bytes = held_limit_bytes
        self.held: dict[Client, Hold] = {}
        """Those without a link, in the order in which they lost it; changed by `add` and `forget`."""
        self._flow = flow
        self._callers = callers
        self._kept = Shares(MAX_HELD_BYTES)
        """How much is kept for all of them."""
        self._doubtful: set[Client] = set()
        """Clients that are back and have calls in doubt."""

    @property
    def is_watching(self) -> bool:
        """True while a client is held or a call's outcome is in doubt."""
        return bool(self.held or self._doubtful)

    def add(self, client: Client, hold: Hold) -> None:
        """A client is held from now on."""
        self.held[client] = hold
        client.doubts.clear()
        self._doubtful.discard(client)

    def back(self, client: Client) -> None:
        """It has a link again."""
        self.held.pop(client, None)

    def opened(self, client: Client) -> None:
        """What waited for it is on its way."""
        self._kept.forget(client)

    def forget(self, client: Client) -> None:
        """It has ended."""
        self.held.pop(client, None)
        client.doubts.clear()
        self._doubtful.discard(client)
        self._kept.forget(client)

    def doubt(self, client: Client, now: float, sure: set[object]) -> None:
        """Watch for the outcome of its calls, but for those that will be sent to it (again)."""
        for key, call in client.pending.items():
            if key not in sure:
                grace_s = max(MIN_GRACE_S, call[2] + 1.0)
                client.doubts[key] = max(min(now + grace_s, patience_until(call)), now + LAST_GRACE_S)
        if client.doubts:
            self._doubtful.add(client)

    def frame_waits(self, client: Client) -> None:
        """One more frame waits for a client without an open link: bound what is kept for it."""
        outbox = client.outbox
        _, kind, key = outbox.entries[-1]
        hold = client.hold
        if hold is not None and key is not None and (call := client.pending.get(key)) is not None:
            hold.look_at = min(hold.look_at, max(patience_until(call), hold.look_from))
        cost = outbox.bytes + FRAME_COST_BYTES * len(outbox.entries)
        if cost <= self.held_limit_bytes and (cost <= MAX_HELD_BYTES.free or self._kept.note(client, cost)):
            return
        if kind in (Kind.CALL, Kind.REPEATABLE) and key is not None:
            outbox.bytes -= len(outbox.entries.pop()[0])
            outbox.end -= 1
            client.pending.pop(key, None)
            key[0].reject(key[1], client.address, too_much_waits(client.address))
        elif not client.is_choked:
            self._flow.choke(client)

    def sweep(self, now: float) -> None:
        """End the calls whose callers' patience ends, and those whose doubt does."""
        for client, hold in list(self.held.items()):
            if not client.fails_fast and now >= hold.look_at:
                self._look_at(client, hold, now)
        for client in list(self._doubtful):
            self._end_doubts(client, now)

    def _end_doubts(self, client: Client, now: float) -> None:
        for key, deadline in list(client.doubts.items()):
            if now >= deadline:
                del client.doubts[key]
                if client.pending.pop(key, None) is not None:
                    self._callers.tell_unknown(client, key)
        if not client.doubts:
            self._doubtful.discard(client)

    def _look_at(self, client: Client, hold: Hold, now: float) -> None:
        given_up, until = [], now
        if now >= hold.calls_until:
            client.fail_fast()
            given_up, until = list(client.pending), inf
        self._fail_waiting(client, until)
        self._fail_written(client, until)
        self._callers.tell_elsewhere(client, given_up)
        self._plan_look(client, hold, now)

    @staticmethod
    def _plan_look(client: Client, hold: Hold, now: float) -> None:
        """Look again when somebody's patience ends; the later, the longer a look takes."""
        first = min(map(patience_until, client.pending.values()), default=inf)
        hold.look_from = now + LOOK_PAUSE_S * (len(client.pending) + len(client.outbox.entries))
        hold.look_at = min(max(first, hold.look_from), hold.calls_until)

    def _fail_waiting(self, client: Client, now: float) -> None:
        """Refuse calls that wait and whose callers' patience ends by `now`."""
        outbox = client.outbox
        if outbox.written == outbox.end:
            return
        first = outbox.written - outbox.base
        entries = list(outbox.entries)
        keep: list[Entry] = []
        over: list[CallKey] = []
        for entry in entries[first:]:
            key = entry[2]
            call = client.pending.get(key) if key is not None else None
            if key is not None and call is not None and now >= patience_until(call):
                del client.pending[key]
                over.append(key)
            else:
                keep.append(entry)
        if over:
            written = entries[:first]
            outbox.entries.clear()
            outbox.entries.extend([*written, *keep])
            outbox.end = outbox.written + len(keep)
            outbox.bytes = sum(len(entry[0]) for entry in outbox.entries)
            renumber(client)
        for key in over:  # last: who called itself is told in this very outbox
            self._callers.tell_undelivered(client, key)

    def _fail_written(self, client: Client, now: float) -> None:
        """End calls that were passed on and whose callers' patience ends by `now`."""
        written = client.outbox.written
        over = [
            key for key, call in client.pending.items() if now >= patience_until(call) and call[0] < written
        ]
        for key in over:
            del client.pending[key]
            self._callers.tell_unknown(client, key)


def renumber(client: Client) -> None:
    """Let the calls that wait for a client say at which places of its outbox they are now."""
    outbox = client.outbox
    for number, (_, _, key) in enumerate(outbox.entries, outbox.base):
        if key is not None and key in client.pending:
            _, since, interval_s = client.pending[key]
            client.pending[key] = (number, since, interval_s)
