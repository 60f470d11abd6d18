"""The line that shows a person how far the work is, and sizes as people read them."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import TextIO

EVERY_S = 0.1
_WIDTH = 24


class Bar:
    """Counts files and bytes from any thread, and draws them on a terminal.

    Args:
        is_shown: False where no person looks.
    """

    def __init__(self, *, is_shown: bool, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_shown = is_shown
        self._lock = threading.Lock()
        self._what = ""
        self._files = self._all_files = self._bytes = self._all_bytes = 0
        self._began = self._drawn_at = 0.0
        self._is_drawn = False

    def begin(self, what: str, files: int, size: int) -> None:
        """Begin to count anew."""
        self.clear()
        with self._lock:
            self._what, self._all_files, self._all_bytes = shown_name(what), files, size
            self._files = self._bytes = 0
            self._began = time.monotonic()
            self._drawn_at = 0.0

    def add(self, size: int = 0, files: int = 0) -> None:
        """So many more are done; less than nothing when something has to be done again."""
        with self._lock:
            self._bytes += size
            self._files += files
            now = time.monotonic()
            if self._is_shown and now - self._drawn_at >= EVERY_S:
                self._drawn_at = now
                self._draw(now)

    def say(self, line: str) -> None:
        """Print a line of its own; whoever said it, a terminal finds nothing in it to act on."""
        self.clear()
        print(shown_name(line), file=self._stream, flush=True)

    def clear(self) -> None:
        """Take the bar off the terminal."""
        with self._lock:
            if self._is_drawn:
                self._stream.write("\r\x1b[K")
                self._stream.flush()
                self._is_drawn = False

    def _draw(self, now: float) -> None:
        share = self._bytes / self._all_bytes if self._all_bytes else self._files / max(1, self._all_files)
        share = min(1.0, max(0.0, share))
        full = int(share * _WIDTH)
        rate = self._bytes / max(0.001, now - self._began)
        text = (
            f"{self._what} [{'#' * full}{'.' * (_WIDTH - full)}] {share:4.0%} "
            f"{shown_size(self._bytes)} of {shown_size(self._all_bytes)}, {shown_size(rate)}/s, "
            f"{self._files} of {self._all_files} files"
        )
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"\r\x1b[K{text[:width]}")
        self._stream.flush()
        self._is_drawn = True


def shown_size(size: float) -> str:
    """Bytes for a person, such as `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def shown_name(name: str) -> str:
    """A name that can be printed: what a terminal would act on is written out."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)
