"""Log lines: one per event, readable in a terminal, JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import TextIO

import structlog

from hypha.observe.secrets import WithoutSecrets, keeps_no_secret

OUR_LOGGERS = ("hypha", "uvicorn")
_MARK = "_hypha_handler"


class _PatientHandler(logging.StreamHandler[TextIO]):
    """Drops a line that cannot be written: a full disk or a reader that left is no fault to report there."""

    def handleError(self, record: logging.LogRecord) -> None:
        """The stream takes no more, or the line cannot be formatted, which tests are to see."""
        if not isinstance(sys.exception(), OSError | UnicodeError | ValueError):
            super().handleError(record)


def setup_logging(
    level_name: str = "WARNING",
    *,
    access_log: bool = False,
    stream: TextIO | None = None,
    secrets: Iterable[str] = (),
) -> None:
    """Send all log lines to one stream (stdout), ours from `level_name` on, others from WARNING on.

    An unknown level counts as WARNING and is warned about. Calling it again replaces the handler. Signed
    tokens and the given secrets are taken out of all lines, those of uvicorn's own handlers too.
    """
    level = logging.getLevelNamesMapping().get(level_name.strip().upper())
    if level is not None:
        level = max(level, logging.DEBUG)  # below it the web server shows whole requests
    root = logging.getLogger()
    for handler in [h for h in root.handlers if getattr(h, _MARK, False)]:
        root.removeHandler(handler)
    stream = stream or sys.stdout
    handler = _PatientHandler(stream)
    setattr(handler, _MARK, True)
    handler.setFormatter(_formatter(is_terminal=stream is not None and stream.isatty()))
    root.addHandler(handler)
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING if level is None else level)
    logging.getLogger("uvicorn.access").setLevel(logging.INFO if access_log else logging.WARNING)
    logging.getLogger("uvicorn.asgi").setLevel(logging.DEBUG)
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)  # as "uvicorn", whoever set it before
    for name in ("uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).addFilter(keeps_no_secret)
    secrets = tuple(secrets)
    for name in ("", "uvicorn", "uvicorn.access", "uvicorn.error"):
        for each in logging.getLogger(name or None).handlers:
            each.setFormatter(WithoutSecrets(each.formatter, secrets))
    if level is None:
        logging.getLogger(__name__).warning("HYPHA_LOGLEVEL is skipped: no level is named %r", level_name)


def _without_second_text(
    _logger: logging.Logger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Drop uvicorn's copy of its own text for coloured terminals."""
    event.pop("color_message", None)
    return event


def _formatter(*, is_terminal: bool) -> logging.Formatter:
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _without_second_text,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if is_terminal:
        last: list[structlog.typing.Processor] = [structlog.dev.ConsoleRenderer()]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
