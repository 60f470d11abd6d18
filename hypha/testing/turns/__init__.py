"""Long turns of the event loop of the servers that tests start.

A turn in which the loop's thread computes for over 100 ms on a quiet machine holds everybody else up. With
the variable `HYPHA_TEST_TURNS` each `ServerProcess` reports its own to a folder, and the test session fails
with them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "HYPHA_TEST_TURNS"
_FOLDER_VARIABLE = "TURN_REPORTS"


@dataclass(frozen=True, slots=True)
class LongTurn:
    """One turn: its processor time, and what the loop was seen doing meanwhile (stacks).

    The machine was `slowness` times slower then than a quiet one.
    """

    cpu_s: float
    slowness: float
    seen: tuple[tuple[str, ...], ...]

    def is_in(self, place: str) -> bool:
        """True if a file or function of that name was seen most of the time."""
        found = sum(any(place in line for line in stack) for stack in self.seen)
        return found * 2 > len(self.seen)

    def __str__(self) -> str:
        stack = self.seen[len(self.seen) // 2] if self.seen else ("nobody looked in time",)
        told = f"{self.cpu_s:.2f} s of processor time in one turn of the event loop"
        return f"{told}, the machine {self.slowness:.1f} times slower than a quiet one:\n  " + "\n  ".join(
            stack
        )


def watching(environment: Mapping[str, str]) -> dict[str, str]:
    """What to add to the environment of a server so that it reports long turns, if they are asked for."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return {}
    path = [str(Path(__file__).parent), environment.get("PYTHONPATH", "")]
    return {_FOLDER_VARIABLE: folder, "PYTHONPATH": os.pathsep.join(filter(None, path))}


class TurnReports:
    """Reads the reports in a folder, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def new(self) -> list[LongTurn]:
        """The long turns that were reported since the last time."""
        found = []
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open() as file:
                file.seek(self._read.get(path, 0))
                for line in iter(file.readline, ""):
                    if not line.endswith("\n"):
                        break
                    self._read[path] = file.tell()
                    report = json.loads(line)
                    found.append(
                        LongTurn(report["cpu_s"], report["slowness"], tuple(map(tuple, report["seen"])))
                    )
        return found
