"""Whether the server is well: what strangers, probes and operators are told (docs/http.md#for-operators)."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class State:
    """What one check found: one word for the probe's answer, and whether requests can be served."""

    is_ok: bool
    text: str


READY = State(True, "ready")
Check = Callable[[], State]


class Health:
    """Collects the checks of all parts; answers are cheap, since probes come often.

    `is_ready` is set by the server after its start and cleared when it begins to stop. A check must
    not wait: whatever it reports was found out before. `connections` and `objects` give the counts
    of the operator's report.
    """

    def __init__(
        self,
        *,
        version: str = "",
        connections: Callable[[], Mapping[str, int]] = dict,
        objects: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_ready = False
        self._version = version
        self._connections = connections
        self._objects = objects
        self._clock = clock
        self._started_at = clock()
        self._checks: dict[str, Check] = {}

    def add_check(self, name: str, check: Check) -> None:
        """Let a part have its say in readiness; `name` appears in the answer."""
        self._checks[name] = check

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started_at

    def _states(self) -> dict[str, State]:
        states = {
            "store": READY if self.is_ready else State(False, "not ready"),
            "redis": State(True, "not used"),
            "event_bus": READY,
            "pubsub": State(True, "healthy"),
        }
        for name, check in self._checks.items():
            state = check()
            if name not in states or self.is_ready or not state.is_ok:
                states[name] = state
        return states

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether new work may be sent here, and why not."""
        states = self._states()
        is_ok = all(state.is_ok for state in states.values())
        detail = {name: state.text for name, state in states.items()}
        return is_ok, {"status": "OK" if is_ok else "DOWN", "detail": detail}

    def liveness(self) -> tuple[bool, dict[str, Any]]:
        """Whether the process is alive; one that answers at all is, also while it stops."""
        detail = {
            "store": "ready" if self.is_ready else "not ready",
            "event_bus_failures": 0,
            "circuit_breaker": "closed",
            "pubsub": "healthy",
            "last_successful_connection": None,
        }
        return True, {"status": "OK", "detail": detail}

    def status(self) -> str:
        """`HEALTHY`, `WARNING` (a check has failed) or `CRITICAL` (not ready)."""
        if not self.is_ready:
            return "CRITICAL"
        return "HEALTHY" if all(check().is_ok for check in self._checks.values()) else "WARNING"

    def report(self) -> dict[str, Any]:
        """Everything an operator sees; too much for strangers."""
        states = self._states()
        issues = [f"{name}: {state.text}" for name, state in states.items() if not state.is_ok]
        counts = dict(self._connections())
        return {
            "timestamp": datetime.now(UTC).isoformat(),
            "status": self.status(),
            "health_score": max(0, 100 - 25 * len(issues)),
            "issues": issues,
            "memory": _memory(),
            "connections": {
                "active": counts.get("active", 0),
                "total_created": counts.get("total_created", 0),
                "total_closed": counts.get("total_closed", 0),
                "orphaned": 0,
                "leaked_handlers": 0,
                **counts,
            },
            "objects": {"rpc_objects": 0, "connection_objects": counts.get("active", 0), **self._objects()},
            "event_bus": {"status": states["event_bus"].text, "redis": states["redis"].text},
            "system": _system(),
            "tasks": {"total": len(asyncio.all_tasks())},
            "leak_monitor": {"suspects": []},
            "uptime_seconds": round(self.uptime_s, 3),
            "version": self._version,
        }


def _memory() -> dict[str, Any]:
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        rss_bytes = int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        rss_bytes = peak_kib * 1024
    return {"rss_mb": round(rss_bytes / 2**20, 1), "peak_rss_mb": round(peak_kib / 1024, 1)}


def _system() -> dict[str, Any]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_count": os.cpu_count(),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "python": sys.version.split()[0],
    }
