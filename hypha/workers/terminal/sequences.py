"""Control sequences in what a program prints to its terminal (ECMA-48): cut out, or made harmless.

What comes is cut at any place, so the begin of a sequence is held until the rest of it comes. Sequences that
are too long for any terminal, and those whose content a screen doesn't show (titles and the like), go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_LONGEST = 64
_TOKEN = re.compile(
    r"(?P<text>[^\x1b\x9b\x9d\x90\x98\x9e\x9f]+)"
    r"|(?P<string>\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])"
    rf"|(?P<csi>(?:\x1b\[|\x9b)[0-9:;<=>?]{{0,{_LONGEST}}}[ -/]{{0,4}}[@-~])"
    r"|(?P<two>\x1b[ -/]{1,3}[0-~]|\x1b[0-OQ-WYZ`-~\\])"
)
_STRING_END = re.compile(r"\x07|\x1b\\|\x9c|\x18|\x1a")
_INCOMPLETE = re.compile(
    rf"(?:\x1b|(?:\x1b\[|\x9b)[0-9:;<=>?]{{0,{_LONGEST}}}[ -/]{{0,4}}|\x1b[ -/]{{1,3}})\Z"
)
_FIELDS = 16
"""A sequence with more numbers is none that a screen knows."""


class Sequences:
    """Reads one output from its begin."""

    def __init__(self) -> None:
        self._held = ""
        self._is_in_string = False

    def read(self, text: str) -> Iterator[str]:
        """The pieces of it that a screen may get: texts, and sequences that are whole."""
        for name, piece in self._tokens(text):
            if name == "text" or (name == "csi" and piece.count(";") + piece.count(":") < _FIELDS):
                yield piece
            elif name == "two":
                yield piece

    def plain(self, text: str) -> str:
        """The texts without any sequence."""
        return "".join(piece for name, piece in self._tokens(text) if name == "text")

    def _tokens(self, text: str) -> Iterator[tuple[str, str]]:
        text, self._held = self._held + text, ""
        at = 0
        while at < len(text):
            if self._is_in_string:
                end = _STRING_END.search(text, at)
                if end is None:
                    self._held = "\x1b" if text.endswith("\x1b") else ""
                    return
                self._is_in_string, at = False, end.end()
                continue
            token = _TOKEN.match(text, at)
            if token is None:
                if _INCOMPLETE.match(text, at):
                    self._held = text[at:]
                    return
                at += 1  # of what is no sequence, the rest is text
                continue
            at = token.end()
            if token.lastgroup == "string":
                self._is_in_string = True
            else:
                yield str(token.lastgroup), token[0]


class PlainStream:
    """Texts without control sequences, as they come; each line ends with a newline alone."""

    def __init__(self) -> None:
        self._sequences = Sequences()
        self._held = ""
        self._is_at_begin = False

    def read(self, text: str) -> str:
        """What is to be shown of the next piece."""
        text = self._held + self._sequences.plain(text)
        self._held = "\r" if text.endswith("\r") else ""  # a newline may follow
        text = text.removesuffix("\r").replace("\r\n", "\n")
        if self._is_at_begin:
            text = text.lstrip("\r")  # a return to the begin of an empty line says nothing
        if text:
            self._is_at_begin = text.endswith("\n")
        return _RETURNS.sub("\n", text)


_RETURNS = re.compile(r"\n\r+")


def plain(text: str) -> str:
    """A text without control sequences, its lines ended by a newline, and what was written over gone."""
    text = Sequences().plain(text).replace("\r\n", "\n")
    lines = (_written_over(line) for line in text.split("\n"))
    return _UNSEEN.sub("", "\n".join(lines))


_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def _written_over(line: str) -> str:
    """A line as it is seen after backspaces and returns to its begin."""
    if "\r" not in line and "\b" not in line:
        return line
    seen: list[str] = []
    at = 0
    for char in line:
        if char == "\r":
            at = 0
        elif char == "\b":
            at = max(0, at - 1)
        else:
            seen[at : at + 1] = char
            at += 1
    return "".join(seen)
