"""What a terminal shows, whatever a program prints."""

from __future__ import annotations

import random
from functools import partial

import pytest

from hypha.workers.terminal.screen import TerminalScreen
from hypha.workers.terminal.sequences import PlainStream, Sequences, plain
from tests.kit.linear_time import N_BYTES, check_growth, check_reader_of_texts, repeated

HOSTILE = (
    "\x1b[" + "9" * 5_000 + "m", "\x1b[1;2;3;4;5H", "\x1b[" + "1;" * 30 + "m", "\x1b7" * 1_000,
    "\x1b]0;" + "t" * 5_000, "\x07\x1b[999999P", "\x1b[9999L", "\x1b#8", "\x1b[?1049h", "\x1bP1$r\x1b\\",
    "\x9b5n", "\x1b[c", "漢\x1b[D\x1b[Dx", "a" + "\u0301" * 3_000, "\x1b[;;;r", "\x1b[5;1r", "\x1b[0;0H",
    "\x1b[-1A", "\x1b\x1b\x1b[", "\x1b(", "B", "\x00\x0e\x0f",
)  # fmt: skip
SHAPES = (
    "\x1b[", "\x1b]", "\x1b", "\x1b[1;", "\x1b[9", "a\u0301", "\u0301\u0316", "\x1b7", "a\x1b[D\u0301",
    "\x9b",
)  # fmt: skip


def draw(screen: TerminalScreen, text: str) -> None:
    for _ in screen.draw(text):
        pass


def draw_anew(text: str) -> None:
    draw(TerminalScreen(lambda _: None), text)


def test_it_shows_what_was_printed() -> None:
    screen = TerminalScreen(lambda _: None, rows=3, columns=10)
    draw(screen, "one\r\ntwo\x1b[1;5H\x1b[31mre")
    draw(screen, "d\x1b[")
    draw(screen, "3;1Hgru\u0308n 漢字\x1b]0;title")
    draw(screen, " of it\x07!")
    assert screen.lines() == ["one red", "two", "grün 漢字!"]
    assert screen.text() == "one red\ntwo\ngrün 漢字!"
    screen.resize(2, 10)
    assert screen.size == (2, 10) and len(screen.lines()) == 2


def test_a_program_that_asks_is_answered() -> None:
    replies: list[str] = []
    draw(TerminalScreen(replies.append), "ab\x1b[6n")
    assert replies == ["\x1b[1;3R"]


@pytest.mark.parametrize("seed", range(20))
def test_no_output_breaks_it(seed: int) -> None:
    chosen = random.Random(seed)
    screen = TerminalScreen(lambda _: None, rows=5, columns=20)
    for _ in range(200):
        draw(screen, chosen.choice(HOSTILE)[: chosen.randint(1, 6_000)] + chosen.choice(["", "x", "\r\n"]))
        if chosen.random() < 0.05:
            screen.resize(chosen.randint(1, 10), chosen.randint(2, 30))
        rows, columns = screen.size
        assert len(screen.lines()) == rows and all(len(line) <= columns for line in screen.lines())
    draw(screen, "\x18\x07\x1bc\x1b[2J\x1b[Hok")
    assert screen.lines()[0] == "ok"
    assert len(screen._screen.savepoints) <= 16


def test_reading_and_drawing_is_linear() -> None:
    check_reader_of_texts(plain)
    for shape in SHAPES:
        check_growth(plain, partial(repeated, shape), N_BYTES, repr(shape))
        check_growth(draw_anew, partial(repeated, shape), N_BYTES // 8, repr(shape))


def test_sequences_are_taken_away_wherever_they_are_cut() -> None:
    text = "a\x1b[31;1mb\x1b]0;title\x1b\\c\x1b(Bd\x9b2Ke\x1b7f\x1bPx\x07g"
    for cut in range(len(text)):
        sequences = Sequences()
        assert sequences.plain(text[:cut]) + sequences.plain(text[cut:]) == "abcdefg"


def test_lines_end_alike_wherever_an_output_is_cut() -> None:
    text = "cat go\r\n\x1b[?2004l\rone\r\n\r\n10%\r20%\r\n$ "
    for first in range(len(text)):
        for second in range(first, len(text)):
            stream = PlainStream()
            pieces = (text[:first], text[first:second], text[second:])
            assert "".join(map(stream.read, pieces)) == "cat go\none\n\n10%\r20%\n$ "


def test_a_plain_text_is_as_it_is_seen() -> None:
    assert plain("one\r\ntwo\x1b[K\r\n") == "one\ntwo\n"
    assert plain("10%\r20%\r100%\n") == "100%\n"
    assert plain("abx\bc\x07\tz") == "abc\tz"
