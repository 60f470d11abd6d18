"""What a terminal shows: rows of characters, as the output so far has left them."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypha.workers.terminal.sequences import Sequences

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

ROWS, COLUMNS = 24, 80
MOST_ROWS = 120
MOST_COLUMNS = 400
_SAVED = 16
"""Positions of the cursor that a program may save one upon the other."""
_PIECE_CHARS = 256


class TerminalScreen:
    """A screen that is drawn on piece by piece; each piece takes a few milliseconds at most.

    `reply` gets what a terminal answers to a program that asks it for something.
    """

    def __init__(self, reply: Callable[[str], None], rows: int = ROWS, columns: int = COLUMNS) -> None:
        import pyte

        screen: Any = pyte.Screen(columns, rows)
        self._screen = screen
        self._screen.write_process_input = reply
        self._stream: Any = pyte.Stream(self._screen)
        self._sequences = Sequences()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self._screen.lines, self._screen.columns

    @property
    def cursor(self) -> dict[str, Any]:
        """Where what is typed appears: `row` and `column` from 0, and whether a program hides it."""
        cursor, (_, columns) = self._screen.cursor, self.size
        return {"row": cursor.y, "column": min(cursor.x, columns - 1), "is_hidden": bool(cursor.hidden)}

    def draw(self, text: str) -> Iterator[None]:
        """Draw a text, as far as it is iterated over."""
        for piece in self._sequences.read(_composed(text)):
            for start in range(0, len(piece), _PIECE_CHARS):
                self._feed(piece[start : start + _PIECE_CHARS])
                yield

    def _feed(self, piece: str) -> None:
        try:
            self._stream.feed(piece)
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            logger.debug("A sequence of a terminal was not understood: %s", error)
        del self._screen.savepoints[:-_SAVED]

    def resize(self, rows: int, columns: int) -> None:
        """Change the size.

        Raises:
            ValueError: there are too few or too many.
        """
        if not (_is_whole(rows) and _is_whole(columns)):
            raise ValueError("Rows and columns of a terminal are whole numbers.")
        if not (1 <= rows <= MOST_ROWS and 2 <= columns <= MOST_COLUMNS):
            raise ValueError(
                f"A terminal has 1-{MOST_ROWS} rows and 2-{MOST_COLUMNS} columns, not {rows} and {columns}."
            )
        self._screen.resize(rows, columns)

    def lines(self) -> list[str]:
        """The rows, without spaces at their ends."""
        screen = self._screen
        return [
            "".join(screen.buffer[row][column].data for column in range(screen.columns)).rstrip()
            for row in range(screen.lines)
        ]

    def text(self) -> str:
        """The rows as one text, without empty ones at the end."""
        return "\n".join(self.lines()).rstrip("\n")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _composed(text: str) -> str:
    """A text in which each character has a place of its own: marks that join no letter go."""
    if text.isascii():
        return text
    return "".join(char for char in unicodedata.normalize("NFC", text) if not unicodedata.combining(char))
