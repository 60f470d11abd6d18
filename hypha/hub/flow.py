"""Back-pressure: a full receiver stops the reading of those who fill it (docs/spec/reconnecting.md#flow).

Nothing is dropped. A receiver that takes nothing for a while, or that makes senders of other
workspaces wait, is closed (`hypha.hub.slow_readers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypha.hub.client import Pressure

if TYPE_CHECKING:
    from hypha.clock import Clock
    from hypha.hub.client import Client
    from hypha.hub.pulse import Pulse
    from hypha.hub.stats import HubStats

HIGH_WATER_BYTES = 1024 * 1024
UNPROVEN_HIGH_BYTES = 16 * 1024 * 1024
"""A receiver whose network swallows faster than it proves arrival is full, too: what it has not
acknowledged is kept here."""
LOW_WATER_BYTES = 896 * 1024
"""Close to the high mark, so that a slow but steady reader frees its senders within a second or two."""


class Flow:
    """Who is full, and who is paused because of it."""

    def __init__(self, clock: Clock, pulse: Pulse, stats: HubStats) -> None:
        self._clock = clock
        self._pulse = pulse
        self._stats = stats
        self.choked: set[Client] = set()
        """Clients for which too much waits."""

    def choke(self, target: Client) -> None:
        """The receiver's transport is above its high-water mark."""
        if target.pressure is None:
            now = self._clock.time()
            target.pressure = Pressure(now, level_of(target), now)
            self.choked.add(target)
            self._stats.choked += 1
            self._pulse.wake()

    def drained(self, target: Client) -> None:
        """Something has drained: release the receiver if it is full in no other way."""
        link = target.connection
        if target.pressure is None or link is None or link.buffered_bytes() > LOW_WATER_BYTES:
            return
        if target.outbox.bytes < UNPROVEN_HIGH_BYTES:
            self.release(target)
        else:
            self._let_go(target, target)  # the proof can only come from itself

    def release(self, target: Client) -> None:
        """The receiver has drained (or ended): its senders are read again."""
        pressure, target.pressure = target.pressure, None
        self.choked.discard(target)
        if pressure is not None:
            for sender in list(pressure.feeders):
                self._read_again(sender, target)

    def pause(self, sender: Client, target: Client) -> None:
        """Stop reading from a sender until the receiver has drained.

        A client that asks and does not read the answers is its own sender.
        """
        link, pressure = sender.connection, target.pressure
        if link is None or pressure is None:
            return
        if sender is target and link.buffered_bytes() <= LOW_WATER_BYTES:
            return
        if target not in sender.paused_by:
            link.pause_reading()
            sender.paused_by.add(target)
            pressure.feeders.add(sender)

    def forget(self, client: Client) -> None:
        """A client's link is gone: it neither pauses nor is paused any more."""
        self.release(client)
        for target in client.paused_by:
            if target.pressure is not None:
                target.pressure.feeders.discard(client)
        client.paused_by.clear()

    def _let_go(self, sender: Client, target: Client) -> None:
        """Read a sender again, though the receiver is still full."""
        if target.pressure is not None and sender in target.pressure.feeders:
            target.pressure.feeders.discard(sender)
            self._read_again(sender, target)

    @staticmethod
    def _read_again(sender: Client, target: Client) -> None:
        sender.paused_by.discard(target)
        if sender.connection is not None:
            sender.connection.resume_reading()


def level_of(client: Client) -> int:
    """Bytes that wait for a receiver: not yet taken by its network, or not yet proven."""
    link = client.connection
    return client.outbox.bytes + (link.buffered_bytes() if link is not None else 0)
