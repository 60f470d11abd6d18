"""Takes credentials out of lines for the log, whoever wrote them there."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

SHOWN = "<token>"
_MIN_SECRET_CHARS = 8
# a run is looked at once, as a whole: the cost is linear in the text
_RUN = re.compile(r"[A-Za-z0-9_.%~-]{32,}")
_SIGNED = "eyJ"
"""How the base64 of a JSON object begins, and so every signed token."""


def without_tokens(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with signed tokens, and these secrets, replaced."""
    for secret in secrets:
        text = text.replace(secret, SHOWN)
    return _RUN.sub(_shown, text) if _SIGNED in text else text


def _shown(run: re.Match[str]) -> str:
    before, mark, _ = run[0].partition(_SIGNED)
    return before + SHOWN if mark else run[0]


class WithoutSecrets(logging.Formatter):
    """Formats as another formatter does and takes credentials out of the result, tracebacks included."""

    def __init__(self, inner: logging.Formatter | None, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        given: logging.Formatter = inner or logging.Formatter()
        self._inner: logging.Formatter = given._inner if isinstance(given, WithoutSecrets) else given
        self._secrets = tuple(secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARS)

    def format(self, record: logging.LogRecord) -> str:
        """One line, or several with a traceback."""
        return without_tokens(self._inner.format(record), self._secrets)


def keeps_no_secret(record: logging.LogRecord) -> bool:
    """For loggers of the web server: cut queries off, and refuse what shows heads and messages whole.

    Login keys and tokens come in queries too. The library for WebSockets tells each header and message of
    a connection at DEBUG.
    """
    if record.levelno <= logging.DEBUG and "websockets" in record.pathname.replace("\\", "/").split("/"):
        return False
    if isinstance(record.args, tuple):
        record.args = tuple(
            arg.partition("?")[0] if isinstance(arg, str) and " " not in arg else arg for arg in record.args
        )
    return True
