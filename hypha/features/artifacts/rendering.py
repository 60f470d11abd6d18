"""The program in which templates of artifacts are rendered, apart from the server: no imports of ours.

It reads jobs from its input, each as JSON behind its length in four bytes. It writes a byte that says whether
it made a page, the length of what follows in four, and the page, or as JSON why there is none. What that may
cost is bounded by the system: more processor time ends the program, more memory fails the job.
"""

from __future__ import annotations

import json
import signal
import struct
import sys
import traceback
from collections.abc import Mapping
from typing import Any, BinaryIO

from jinja2 import TemplateError, TemplateSyntaxError, Undefined
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY_BYTES = 256 * 1024 * 1024
MAX_PAGE_BYTES = 8 * 1024 * 1024
MAX_TOLD_CHARS = 300
LENGTH, ANSWER = struct.Struct(">L"), struct.Struct(">?L")

_TEMPLATE = "<template>"
_MARKED_UP = (".html", ".htm", ".xhtml", ".xml", ".svg")


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates see the values that they are given, and nothing of Python behind them."""

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """Refuse what is behind a value, even if it is only looked at."""
        raise SecurityError(f"access to attribute {attribute!r} of {type(obj).__name__!r} is refused")


def render(template: str, name: str, values: Mapping[str, Any]) -> bytes | dict[str, Any]:
    """The page that a template makes, in UTF-8; `{error, line}` if it makes none."""
    try:
        sandbox = Sandbox(autoescape=name.lower().endswith(_MARKED_UP))
        page = bytearray()
        for part in sandbox.from_string(template).generate(**values):
            page += part.encode("utf-8", "replace")
            if len(page) > MAX_PAGE_BYTES:
                raise TemplateError(f"the page is larger than {MAX_PAGE_BYTES} bytes")
        return bytes(page)
    except TemplateSyntaxError as error:
        return {"error": _told(error), "line": error.lineno}
    except MemoryError:
        return {"error": "it needs too much memory", "line": None}
    except RecursionError:
        return {"error": "it calls itself without end", "line": None}
    except Exception as error:  # whatever somebody's template does
        return {"error": _told(error), "line": _line(error)}


def _told(error: Exception) -> str:
    text = str(getattr(error, "message", None) or error)[:MAX_TOLD_CHARS]
    return text if isinstance(error, TemplateError) else f"{type(error).__name__}: {text}"


def _line(error: BaseException) -> int | None:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == _TEMPLATE]
    return lines[-1] if lines else None


def _confine() -> None:
    """Let the program write no files and start no others, and have little memory."""
    if sys.platform != "win32":
        import resource

        for kind, most in (
            (resource.RLIMIT_AS, MEMORY_BYTES),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_NPROC, 0),
        ):
            resource.setrlimit(kind, (most, most))


def _limit_time(seconds: float) -> None:
    """End the program when it has computed so long; 0 ends the limit."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main(jobs: BinaryIO, results: BinaryIO, cpu_s: float) -> None:
    """Render until the input ends; no job computes longer."""
    _confine()
    while len(head := jobs.read(LENGTH.size)) == LENGTH.size:
        job = json.loads(jobs.read(LENGTH.unpack(head)[0]))
        _limit_time(cpu_s)
        made = render(job["template"], job["name"], job["values"])
        result = made if isinstance(made, bytes) else json.dumps(made).encode()
        _limit_time(0)
        results.write(ANSWER.pack(result is made, len(result)))
        results.write(result)
        results.flush()


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer, float(sys.argv[1]))
