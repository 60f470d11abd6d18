"""Telling somebody what a screen shows, as often as it changes and they can take it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from hypha.workers.terminal.session import TerminalSession

logger = logging.getLogger(__name__)

_PAUSE_S = 0.05
"""Between two updates."""
_LOOK_S = 30.0
_TAKE_S = 30.0
"""How long who watches may take for one update."""


async def watch(session: TerminalSession, tell: Callable[[Mapping[str, Any]], object]) -> None:
    """Tell it until the program has ended or nobody takes it any more."""
    rows, columns = session.screen.size
    screen, size = session.screen, {"rows": rows, "cols": columns}
    shown = screen.text(), screen.cursor
    with session.listening() as listener:
        if not await _told(tell, {"type": "initial", **_told_of(shown), "terminal_size": size}):
            return
        while not session.has_ended:
            await listener.more(_LOOK_S)
            listener.take()
            now = screen.text(), screen.cursor
            if now != shown:
                shown = now
                if not await _told(tell, {"type": "update", **_told_of(shown)}):
                    return
            await asyncio.sleep(_PAUSE_S)


def _told_of(shown: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    content, cursor = shown
    return {"content": content, "cursor": cursor}


async def _told(tell: Callable[[Mapping[str, Any]], object], message: Mapping[str, Any]) -> bool:
    """Whether somebody took it."""
    try:
        answer = tell(message)
        if inspect.isawaitable(answer):
            async with asyncio.timeout(_TAKE_S):
                await answer
    except Exception as error:
        logger.info("Nobody watches the terminal any more: %s", error)
        return False
    return True
