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
    shown, size = session.screen.text(), {"rows": rows, "cols": columns}
    with session.listening() as listener:
        if not await _told(tell, {"type": "initial", "content": shown, "terminal_size": size}):
            return
        while not session.has_ended:
            await listener.more(_LOOK_S)
            listener.take()
            content = session.screen.text()
            if content != shown:
                shown = content
                if not await _told(tell, {"type": "update", "content": content}):
                    return
            await asyncio.sleep(_PAUSE_S)


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
