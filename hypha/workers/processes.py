"""Processes of a session: found by their group and environment, and ended, all of them.

What leaves its group is found by the variables that name the session, which children inherit. What clears its
environment as well as its group is not. Where there is no `/proc`, groups alone are ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")
_ROUNDS = 50
"""How often what is left is looked for: what is forked meanwhile is found in the next round."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What the system says of a process."""

    pid: int
    group: int
    session: int
    started: int
    """Ticks since the system started: tells a process from a later one of the same id."""
    is_zombie: bool


def stat_of(pid: int) -> Stat | None:
    """What the system says of a process; None if there is none, or no `/proc`."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return Stat(pid, int(fields[2]), int(fields[3]), int(fields[19]), fields[0] in "ZX")


def all_pids() -> Iterator[int]:
    """The ids of all processes that can be seen."""
    if _PROC.is_dir():
        yield from (int(name) for name in os.listdir(_PROC) if name.isdigit())


def members(leader: int, marks: Mapping[str, str]) -> list[int]:
    """Living processes in the leader's group or session, or with all of these variables. Never our own."""
    found = []
    wanted = [f"{name}={value}".encode() for name, value in marks.items()]
    for pid in all_pids():
        stat = stat_of(pid)
        if stat is None or stat.is_zombie or pid == os.getpid():
            continue
        is_in_group = leader > 1 and leader in (stat.group, stat.session)
        if is_in_group or (wanted and _has(pid, wanted)):
            found.append(pid)
    return found


def _has(pid: int, wanted: list[bytes]) -> bool:
    given = _variables(pid)
    return all(each in given for each in wanted)


def _variables(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return []


def end_all(leader: int, started: int | None, marks: Mapping[str, str]) -> int:
    """Kill a group and whatever has left it; how many processes are still there. It blocks: use a thread.

    Where the leader's id is another process's by now, as `started` tells, only what has the variables ends.
    """
    found = stat_of(leader)
    leader = leader if found is None or found.started == started else 0
    _signal_group(leader, signal.SIGKILL)
    left: list[int] = []
    for _ in range(_ROUNDS):
        left = members(leader, marks)
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    return len(left)


def ask_to_end(leader: int) -> None:
    """Let a group end by itself."""
    _signal_group(leader, signal.SIGTERM)


def _signal_group(leader: int, number: signal.Signals) -> None:
    if leader > 1:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)


@dataclass(slots=True)
class Usage:
    """What the processes of a session use together."""

    pids: list[int] = field(default_factory=list)
    memory_bytes: int = 0
    """Of their own; what a process shares with its parent counts for both."""

    def shared_memory_bytes(self) -> int:
        """The same with what they share counted once, where the system tells; it takes longer."""
        return sum(found) if all(found := [_share(pid) for pid in self.pids]) else self.memory_bytes


def usage_of(leaders: Mapping[int, Mapping[str, str]]) -> dict[int, Usage]:
    """What the sessions of these leaders use: their groups, and what left these but has their variables."""
    usages = {leader: Usage() for leader in leaders}
    marked = {
        f"{name}={value}".encode(): leader for leader, m in leaders.items() for name, value in m.items()
    }
    for pid in all_pids():
        stat = stat_of(pid)
        if stat is None or stat.is_zombie or pid == os.getpid():
            continue
        leader = next((each for each in (stat.group, stat.session) if each in usages), None)
        if leader is None:
            leader = next((marked[each] for each in _variables(pid) if each in marked), None)
        if leader is not None:
            usages[leader].pids.append(pid)
            usages[leader].memory_bytes += _own_memory(pid)
    return usages


def _own_memory(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        resident, shared = (_PROC / str(pid) / "statm").read_text().split()[1:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _share(pid: int) -> int:
    """Memory of a process, of what it shares its share; 0 where that is not known."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def tasks_of_user() -> int:
    """How many processes and threads the user of this process has: a limit on them counts all."""
    total = 0
    for pid in all_pids():
        with contextlib.suppress(OSError):
            folder = _PROC / str(pid)
            if folder.stat().st_uid == os.getuid():
                total += len(os.listdir(folder / "task"))
    return total


def is_connected(pid: int, port: int) -> bool:
    """Whether a process has an open TCP connection to a port."""
    own = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(_PROC / str(pid) / "fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(_PROC / str(pid) / "fd" / name)
                if target.startswith("socket:["):
                    own.add(target[8:-1])
    return bool(own) and any(
        own & _inodes(_PROC / str(pid) / "net" / table, port) for table in ("tcp", "tcp6")
    )


def _inodes(table: Path, port: int) -> set[str]:
    """The sockets of a table of the system that are connected to a port."""
    found = set()
    with contextlib.suppress(OSError):
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "01" and int(fields[2].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found
