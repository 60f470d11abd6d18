"""Back-pressure: a full receiver stops the reading of those who fill it (docs/spec/reconnecting.md#flow).

Nothing is dropped. A receiver that takes nothing for a while, or that makes senders of other
workspaces wait, is closed with 1013; its callers are told when its state ends.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypha.errors import NotDelivered
from hypha.hub.outbox import Kind
from hypha.hub.shares import Room, Shares

if TYPE_CHECKING:
    from hypha.hub.client import Client
    from hypha.hub.connection import Connection
    from hypha.hub.hub import Hub

logger = logging.getLogger(__name__)

MIB = 1024 * 1024
HIGH_WATER_BYTES = MIB
CLOSE_GRACE_S = 1.0
UNPROVEN_HIGH_BYTES = 16 * 1024 * 1024
"""A receiver whose network swallows faster than it proves arrival is full, too: what it has not
acknowledged is kept here."""
MAX_HELD_BYTES = Room(free=64 * 1024, party=128 * MIB, strangers=256 * MIB, total=1024 * MIB)
"""What waits for clients without a link, of all of them together."""
FRAME_COST_BYTES = 256
"""What a frame that waits costs beside its bytes: many tiny ones take memory and time too."""
LOW_WATER_BYTES = 896 * 1024
"""Close to the high mark, so that a slow but steady reader frees its senders within a second or two."""


class Flow:
    """Who is full, who is paused because of it, and for how long that may last.

    Args:
        slow_reader_deadline_s: a full receiver that takes no byte for so long is closed.
        foreign_pause_limit_s: how long a receiver may pause a sender of another workspace.
        held_limit_bytes: how much is kept for a client between two connections.
    """

    def __init__(
        self, hub: Hub, slow_reader_deadline_s: float, foreign_pause_limit_s: float, held_limit_bytes: int
    ) -> None:
        self.hub = hub
        self.slow_reader_deadline_s = slow_reader_deadline_s
        self.foreign_pause_limit_s = foreign_pause_limit_s
        self.held_limit_bytes = held_limit_bytes
        self.held = Shares(MAX_HELD_BYTES)
        self.choked: set[Client] = set()

    def choke(self, target: Client) -> None:
        """The receiver's transport is above its high-water mark."""
        if not target.is_choked:
            target.is_choked = True
            target.choked_since = target.drained_at = self.hub.time()
            target.choked_level = _level(target)
            self.choked.add(target)
            self.hub.stats.choked += 1
            self.hub.pulse.wake()

    def drained(self, target: Client) -> None:
        """Something has drained: release the receiver if it is full in no other way."""
        link = target.connection
        if not target.is_choked or link is None or link.buffered_bytes() > LOW_WATER_BYTES:
            return
        if target.outbox.bytes < UNPROVEN_HIGH_BYTES:
            self.release(target)
        else:
            self._let_go(target, target)  # the proof can only come from itself

    def release(self, target: Client) -> None:
        """The receiver has drained (or ended): its senders are read again."""
        target.is_choked = False
        self.choked.discard(target)
        for sender in list(target.feeders):
            self._let_go(sender, target)

    @staticmethod
    def _let_go(sender: Client, target: Client) -> None:
        if target not in sender.paused_by:
            return
        target.feeders.discard(sender)
        sender.paused_by.discard(target)
        if sender.connection is not None:
            sender.connection.resume_reading()

    def pause(self, sender: Client, target: Client) -> None:
        """Stop reading from a sender until the receiver has drained.

        A client that asks and does not read the answers is its own sender.
        """
        link = sender.connection
        if link is None or (sender is target and link.buffered_bytes() <= LOW_WATER_BYTES):
            return
        if target not in sender.paused_by:
            link.pause_reading()
            sender.paused_by.add(target)
            target.feeders.add(sender)

    def forget(self, client: Client) -> None:
        """A client's link is gone: it neither pauses nor is paused any more."""
        self.release(client)
        for target in client.paused_by:
            target.feeders.discard(client)
        client.paused_by.clear()

    def check_held(self, client: Client) -> None:
        """Bound what is kept for a client without an open link."""
        outbox = client.outbox
        _, kind, key = outbox.entries[-1]
        if key is not None and (call := client.pending.get(key)) is not None:
            self.hub.resume.waits(client, call)
        cost = outbox.bytes + FRAME_COST_BYTES * len(outbox.entries)
        if cost <= self.held_limit_bytes and (cost <= MAX_HELD_BYTES.free or self.held.note(client, cost)):
            return
        if kind in (Kind.CALL, Kind.REPEATABLE) and key is not None:
            outbox.bytes -= len(outbox.entries.pop()[0])
            outbox.end -= 1
            client.pending.pop(key, None)
            text = f"Too much is waiting for {client.address}, which is reconnecting; try again shortly."
            key[0].reject(key[1], client.address, NotDelivered(text).rpc_text)
        elif not client.is_choked:
            self.choke(client)

    def sweep(self, now: float) -> None:
        """Close receivers that take nothing any more, or that make other workspaces wait."""
        for client in list(self.choked):
            self.drained(client)
            if not client.is_choked:
                continue
            link = client.connection
            level = _level(client)
            if level < client.choked_level:
                client.drained_at = now
            client.choked_level = level  # senders add to it for as long as they are not paused
            is_stuck = now - client.drained_at > self.slow_reader_deadline_s
            if not is_stuck and not self._starves_foreigners(client, now - client.choked_since):
                continue
            if link is None:
                self.hub.resume.end(client, "too much was waiting for it")
            else:
                self._close(client, link)

    def _starves_foreigners(self, client: Client, waited_s: float) -> bool:
        return waited_s > self.foreign_pause_limit_s and any(
            feeder.workspace != client.workspace for feeder in client.feeders
        )

    def _close(self, client: Client, link: Connection) -> None:
        logger.warning("Closing %s: it does not read what others send to it", client.address)
        self.hub.stats.slow_readers_closed += 1
        link.close(1013, "Messages were not read fast enough")
        self.hub.loop.call_later(CLOSE_GRACE_S, link.abort)
        self.hub.resume.lost(client, link, 1013)  # what comes from now on waits for its return


def _level(client: Client) -> int:
    """Bytes that wait for a receiver: not yet taken by its network, or not yet proven."""
    link = client.connection
    return client.outbox.bytes + (link.buffered_bytes() if link is not None else 0)
