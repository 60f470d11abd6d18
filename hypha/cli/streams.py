"""Standard streams that never keep the server from starting or running.

They may be closed, full, a pipe that nobody reads any more, or of an encoding without the letters of a
folder's name; what is printed there is a courtesy to a person.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO


class PatientStream(io.TextIOBase):
    """A text stream that drops what cannot be written; `has_lost` says whether it did."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.has_lost = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what can be written."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):  # ValueError: it was closed
            self.has_lost = True
        return len(text)

    def flush(self) -> None:
        """Hand over what can be handed over."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.has_lost = True

    def isatty(self) -> bool:
        """Whether a person reads it."""
        try:
            return self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """The descriptor below."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As of the stream below."""
        return self._stream.encoding


def secure_streams() -> None:
    """Make standard output and error patient, and open what is closed of them.

    A descriptor that is free would be given to the next socket or file, into which others then print.
    Calling it again changes nothing.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            _open_nothing(number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if isinstance(stream, PatientStream):
            continue
        was_closed = stream is None
        if was_closed:
            stream = open(number, "w", encoding="utf-8", closefd=False)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
            patient = PatientStream(stream)
            patient.has_lost = was_closed
            setattr(sys, name, patient)


def _open_nothing(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)
