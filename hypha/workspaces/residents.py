"""The workspaces in memory: who is in them, who is on the way, when they may leave."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from hypha.store.records import WorkspaceRecord

ARRIVAL_S = 15.0
"""How long a place is kept for a client between its admission and its joining."""
IDLE_S = 60.0
"""How long a workspace that nobody is in stays in memory after it was looked at."""


class Timer(Protocol):
    """A call that can be taken back."""

    def cancel(self) -> None:
        """Don't make the call."""


CallLater = Callable[[float, Callable[[], None]], Timer]


@dataclass(slots=True, eq=False)
class Resident:
    """One workspace in memory.

    `is_stored` says that the database has a row of it; `was_visited`, that a client has been in it
    since it was loaded; `is_fixed` keeps the system's own for ever. `arrivals` are the times until
    which places are kept, the earliest first.
    """

    record: WorkspaceRecord
    is_stored: bool = False
    is_fixed: bool = False
    clients: int = 0
    was_visited: bool = False
    arrivals: deque[float] = field(default_factory=deque)
    timer: Timer | None = None


class Residents:
    """Counts clients and finds out when a workspace has been left.

    Args:
        leave: called with a resident that nobody is in and nobody is expected in.
        grace_s: pause between the last client's leaving and that call.
        call_later, clock: the event loop's, or a test's.
    """

    def __init__(
        self,
        leave: Callable[[Resident], None],
        grace_s: float,
        call_later: CallLater,
        clock: Callable[[], float],
    ) -> None:
        self._leave = leave
        self._grace_s = grace_s
        self._call_later = call_later
        self._clock = clock
        self._residents: dict[str, Resident] = {}
        self.has_clients_elsewhere: Callable[[str], bool] = lambda workspace: False
        """Whether somebody is in a workspace at another replica."""

    def __iter__(self) -> Iterator[Resident]:
        return iter(list(self._residents.values()))

    def __len__(self) -> int:
        return len(self._residents)

    def get(self, workspace: str) -> Resident | None:
        """The resident of that id, or None."""
        return self._residents.get(workspace)

    def add(self, record: WorkspaceRecord, *, is_stored: bool, is_fixed: bool = False) -> Resident:
        """Take a workspace into memory; it leaves again if nobody comes."""
        resident = self._residents[record.id] = Resident(record, is_stored, is_fixed)
        return resident

    def renew(self, resident: Resident, record: WorkspaceRecord) -> None:
        """Put another record in place, as of a workspace that nobody has visited yet."""
        resident.record = record
        resident.was_visited = False

    def remove(self, resident: Resident) -> None:
        """Forget a workspace, unless another one has taken its place."""
        self._cancel(resident)
        if self._residents.get(resident.record.id) is resident:
            del self._residents[resident.record.id]

    def expect(self, resident: Resident) -> None:
        """Keep a place for a client that was admitted and has yet to join."""
        now = self._clock()
        _drop_late(resident, now)  # here too: while somebody is in it, nothing else looks
        resident.arrivals.append(now + ARRIVAL_S)
        if resident.timer is None:
            self._check_after(resident, ARRIVAL_S)

    def look_at(self, resident: Resident) -> None:
        """Let a workspace that nobody is in leave after a while."""
        if resident.timer is None and not resident.clients:
            self._check_after(resident, IDLE_S)

    def joined(self, workspace: str) -> None:
        """Count a client in."""
        resident = self._residents.get(workspace)
        if resident is None:
            return
        resident.clients += 1
        resident.was_visited = True
        if resident.arrivals:
            resident.arrivals.popleft()
        self._cancel(resident)

    def left(self, workspace: str) -> None:
        """Count a client out; with the last one the workspace is left, after the grace time."""
        resident = self._residents.get(workspace)
        if resident is None or not resident.clients:
            return
        resident.clients -= 1
        if resident.clients:
            return
        self._cancel(resident)
        if self._grace_s > 0:
            self._check_after(resident, self._grace_s)
        else:
            self._check(resident)

    def is_deserted(self, resident: Resident) -> bool:
        """True if nobody is in it and nobody is on the way."""
        if resident.is_fixed or resident.clients or self.has_clients_elsewhere(resident.record.id):
            return False
        _drop_late(resident, self._clock())
        return not resident.arrivals

    def cancel_all(self) -> None:
        """Take back every timer; nothing leaves any more."""
        for resident in self:
            self._cancel(resident)

    def _check(self, resident: Resident) -> None:
        resident.timer = None
        if self._residents.get(resident.record.id) is not resident or resident.is_fixed or resident.clients:
            return
        if self.is_deserted(resident):
            self._leave(resident)
        elif not resident.arrivals:
            self._check_after(resident, IDLE_S)
        else:
            self._check_after(resident, resident.arrivals[-1] - self._clock() + 0.01)

    def _check_after(self, resident: Resident, delay_s: float) -> None:
        resident.timer = self._call_later(delay_s, lambda: self._check(resident))

    def _cancel(self, resident: Resident) -> None:
        if resident.timer is not None:
            resident.timer.cancel()
            resident.timer = None


def _drop_late(resident: Resident, now: float) -> None:
    """Give up the places of those who did not come in time."""
    while resident.arrivals and resident.arrivals[0] <= now:
        resident.arrivals.popleft()
