"""Options that bound the processes of sessions, for each kind of worker with names of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypha.workers.children import ProcessLimits
from hypha.workers.options import Options, count


def add_limits(options: Options, kind: str) -> None:
    """The options `--<kind>-cpu-s` and so on."""
    usual = ProcessLimits()
    options.add(f"--{kind}-cpu-s", usual.cpu_s, "Seconds of processor time of a process; 0: any", count)
    options.add(f"--{kind}-memory-mb", usual.memory_mb, "Memory of a process in MiB; 0: any", count)
    most = usual.session_memory_mb
    options.add(f"--{kind}-session-memory-mb", most, "Memory of a session in MiB; 0: any", count)
    options.add(f"--{kind}-file-mb", usual.file_mb, "Size of a file that it writes in MiB; 0: any", count)
    options.add(f"--{kind}-open-files", usual.open_files, "Open files of a process; 0: any", count)
    options.add(f"--{kind}-processes", usual.processes, "Processes of a session; 0: any", count)


def limits_of(values: Mapping[str, Any], kind: str) -> ProcessLimits:
    """The limits that options say."""
    return ProcessLimits(
        cpu_s=values[f"{kind}_cpu_s"],
        memory_mb=values[f"{kind}_memory_mb"],
        file_mb=values[f"{kind}_file_mb"],
        open_files=values[f"{kind}_open_files"],
        processes=values[f"{kind}_processes"],
        session_memory_mb=values[f"{kind}_session_memory_mb"],
    )
