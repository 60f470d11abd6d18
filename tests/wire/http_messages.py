"""Reads the files of `tests/wire/http/`: what is sent to a server, and what has to come back.

A file is a list of steps. `#` begins a comment; the first one names the rule.

    > text        send a line with its CRLF; escapes are those of Python (\\r, \\0, \\xff)
    >| text       send text without a line end
    >x 8181 00    send bytes, as hex digits
    ^             send nothing more: close the sending half of the connection
    < 200|404     an answer comes with one of these statuses; the lines behind it say more about it
    <: name: text     it has a header field of this value; `*` stands for any
    <! name           it has no such field
    <~ text           its body holds this text; `<!~` its body doesn't
    <ws 8a00          a frame comes over the WebSocket whose bytes begin so
    <text word        a text frame comes over it that holds the word
    <close 1002       a close frame comes with one of these codes (`none`: without)
    <. closed     the server ends the connection, with nothing more on it (`open`: it takes another request)

`{name}` in a text stands for a value of the test, `{a*300}` for 300 times `a`. A step for one way of serving
only begins with `ours:` or `uvicorn:`; a comment behind it says whose fault the difference is.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "http"
WAYS = ("ours", "uvicorn")
TIMEOUT_S = 10.0
_STEP = re.compile(r"(?:(ours|uvicorn): )?(>\||>x|>|\^|<:|<!~|<!|<~|<ws|<text|<close|<\.|<)(?: (.*))?$")
_REPEATED = re.compile(r"\{(.+?)\*(\d+)\}")


@dataclass(frozen=True)
class Step:
    """One line of a file."""

    kind: str
    text: str


@dataclass
class Answer:
    """What came back: status, fields by lower-case name, body."""

    status: int
    fields: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""


def messages() -> list[Path]:
    """All files."""
    return sorted(FOLDER.glob("*.txt"))


def read_steps(file: Path, way: str) -> list[Step]:
    """The steps of a file for one way of serving."""
    steps = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _STEP.match(line)
        if match is None:
            raise ValueError(f"{file.name}, line {number}: {line!r} is no step")
        if match[1] in (None, way):
            steps.append(Step(match[2], match[3] or ""))
    return steps


def literal(text: str, values: Mapping[str, str]) -> bytes:
    """The bytes that a text of a file stands for."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    parts: list[bytes] = []
    last = 0
    for match in _REPEATED.finditer(text):
        parts += [_unescaped(text[last : match.start()]), _unescaped(match[1]) * int(match[2])]
        last = match.end()
    return b"".join([*parts, _unescaped(text[last:])])


def _unescaped(text: str) -> bytes:
    return text.encode().decode("unicode_escape").encode("latin-1") if "\\" in text else text.encode()


class Talk:
    """One connection on which a file is played.

    Args:
        values: what names in the file stand for.
    """

    def __init__(self, port: int, values: Mapping[str, str]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._values = values
        self._received = b""
        self._method = b""
        self._answer: Answer | None = None

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def play(self, steps: list[Step]) -> None:
        """Do all steps; raises AssertionError for the first that doesn't hold."""
        for kind, text in _joined(steps, self._values):
            if kind == "send":
                assert isinstance(text, bytes)
                self._send(text)
            else:
                assert isinstance(text, str)
                self._step(kind, text)

    def _send(self, data: bytes) -> None:
        if self._answer is None:
            self._method = data.lstrip().split(b" ", 1)[0]
        try:
            self._socket.sendall(data)
        except ConnectionError:
            pass  # the server has answered and closed already

    def _step(self, kind: str, text: str) -> None:
        if kind == "^":
            self._socket.shutdown(socket.SHUT_WR)
        elif kind == "<":
            self._answer = self._read_answer()
            assert self._answer.status in [int(word) for word in text.split("|")], self._answer
        elif kind == "<ws":
            wanted = bytes.fromhex(text)
            got = self._take(len(wanted))
            assert got == wanted, f"{(got + self._received)!r} does not begin with {wanted!r}"
        elif kind == "<text":
            first, payload = self._take_frame()
            assert first == 0x81 and text.encode() in payload, payload
        elif kind == "<close":
            first, payload = self._take_frame()
            code = str(int.from_bytes(payload[:2])) if payload else "none"
            assert first == 0x88 and code in text.split("|"), payload
        elif kind == "<.":
            self._check_end(text)
        else:
            self._check_answer(kind, text)

    def _take_frame(self) -> tuple[int, bytes]:
        first, size = self._take(2)
        if size == 126:
            size = int.from_bytes(self._take(2))
        return first, self._take(size)

    def _check_answer(self, kind: str, text: str) -> None:
        answer = self._answer
        assert answer is not None
        if kind in ("<~", "<!~"):
            assert (literal(text, self._values) in answer.body) is (kind == "<~"), answer
            return
        name, _, value = text.partition(":")
        found = answer.fields.get(name.strip().lower(), [])
        if kind == "<!":
            assert not found, answer
        else:
            assert found and value.strip() in ("*", ", ".join(found)), answer

    def _check_end(self, how: str) -> None:
        if how == "closed":
            rest = self._rest()
            assert rest == b"", rest
            return
        host = self._values["host"]
        self._method = b"GET"
        self._socket.sendall(f"GET /health/liveness HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert self._read_answer().status == 200

    def _read_answer(self) -> Answer:
        head = self._take_to(b"\r\n\r\n").decode("latin-1").split("\r\n")
        assert head[0].startswith("HTTP/1.1 "), head
        answer = Answer(int(head[0].split()[1]))
        for line in head[1:-2]:
            name, _, value = line.partition(":")
            answer.fields.setdefault(name.lower(), []).append(value.strip())
        if answer.status >= 200 and answer.status not in (204, 304) and self._method != b"HEAD":
            answer.body = self._read_body(answer)
        return answer

    def _read_body(self, answer: Answer) -> bytes:
        if answer.fields.get("transfer-encoding") == ["chunked"]:
            return b"".join(self._chunks())
        length = answer.fields.get("content-length")
        return self._take(int(length[0])) if length else self._rest()

    def _rest(self) -> bytes:
        """All that comes until the connection ends."""
        rest, self._received = self._received + b"".join(self._until_end()), b""
        return rest

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._take_to(b"\r\n"), 16):
            yield self._take(size)
            assert self._take(2) == b"\r\n"
        assert self._take(2) == b"\r\n"

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        taken, self._received = self._received[:size], self._received[size:]
        return taken

    def _take_to(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._more()
        return self._take(self._received.index(mark) + len(mark))

    def _more(self) -> None:
        part = self._socket.recv(65536)
        assert part, f"the connection ended after {self._received!r}"
        self._received += part

    def _until_end(self) -> Iterator[bytes]:
        try:
            while part := self._socket.recv(65536):
                yield part
        except ConnectionResetError:
            return


def _joined(steps: list[Step], values: Mapping[str, str]) -> Iterator[tuple[str, bytes | str]]:
    """The steps, with what is sent in a row as one piece."""
    data = b""
    for step in steps:
        if step.kind.startswith(">"):
            data += bytes.fromhex(step.text) if step.kind == ">x" else literal(step.text, values)
            data += b"\r\n" if step.kind == ">" else b""
            continue
        if data:
            yield "send", data
            data = b""
        yield step.kind, step.text
    if data:
        yield "send", data
