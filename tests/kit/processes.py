"""Programs that tests start beside servers."""

from __future__ import annotations

import select
import subprocess

DEADLINE_S = 30.0


def read_line(process: subprocess.Popen[str], deadline_s: float = DEADLINE_S) -> str:
    """The next line that a process prints."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], deadline_s)
    return process.stdout.readline() if ready else ""
