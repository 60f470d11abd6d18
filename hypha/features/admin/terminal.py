"""A Python prompt inside the server, for root, and only where the operator asked for it.

See docs/security.md#the-prompt-inside-the-server.
"""

from __future__ import annotations

import ast
import asyncio
import code
import functools
import inspect
import io
import traceback
from typing import TYPE_CHECKING, Any

from hypha.auth.scopes import Level
from hypha.auth.users import Context
from hypha.builtins.permission import permission
from hypha.errors import InvalidRequest
from hypha.features.admin.service import AdminUtils
from hypha.values import is_number, is_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypha.features.admin.parts import Parts
    from hypha.features.base import PromptNames

MAX_SCREEN_CHARS = 256 * 1024
MAX_COMMAND_CHARS = 64 * 1024
MAX_UNFINISHED_LINES = 1000
"""Each line of an unfinished statement compiles all of it anew."""
MAX_ROWS, MAX_COLUMNS = 1000, 1000
STATEMENT_TIMEOUT_S, MAX_STATEMENT_TIMEOUT_S = 60.0, 3600.0
PROMPT, CONTINUATION = ">>> ", "... "
_TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class _Printed(io.TextIOBase):
    """Where statements print to; the end of it is kept."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0

    def write(self, text: str) -> int:
        """Add some text, which may push out the oldest."""
        self._parts.append(text)
        self._size += len(text)
        if self._size > 2 * MAX_SCREEN_CHARS:
            kept = self.tail()
            self._parts, self._size = [kept], len(kept)
        return len(text)

    def tail(self) -> str:
        """What was printed lately."""
        return "".join(self._parts)[-MAX_SCREEN_CHARS:]

    def clear(self) -> None:
        """Begin anew."""
        self._parts, self._size = [], 0


class Terminal:
    """One interpreter with some names bound, and what it has printed."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self._out = _Printed()
        self._names: dict[str, Any] = {**names, "__name__": "__console__"}
        self._names["print"] = functools.partial(print, file=self._out)
        self._names["exit"] = self._names["quit"] = _leave
        self._screen = PROMPT
        self._unread = PROMPT
        self._line: list[str] = []
        self._block: list[str] = []
        self.rows, self.columns = 24, 80

    @property
    def screen(self) -> str:
        """Everything printed lately."""
        return self._screen

    def read(self) -> str:
        """What was printed since the last read."""
        unread, self._unread = self._unread, ""
        return unread

    def _show(self, text: str) -> None:
        self._screen = (self._screen + text)[-MAX_SCREEN_CHARS:]
        self._unread = (self._unread + text)[-MAX_SCREEN_CHARS:]

    async def write(self, data: str) -> None:
        """Type characters; each finished line is run. A statement that grows too long is dropped."""
        lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for number, text in enumerate(lines):
            self._type(text)
            if self._is_too_long():
                self._line.clear()
                self._block.clear()
                self._show(
                    f"\nThe statement is dropped: it has more than {MAX_COMMAND_CHARS} characters or "
                    f"{MAX_UNFINISHED_LINES} lines.\n{PROMPT}"
                )
                return  # its rest is no statement
            if number < len(lines) - 1:
                self._show("\n")
                line = "".join(self._line)
                self._line.clear()
                await self._enter(line)
                await asyncio.sleep(0)  # others are served between two lines

    def _type(self, text: str) -> None:
        for letter in text:
            if letter not in "\x7f\b":
                self._line.append(letter)
            elif self._line:
                self._line.pop()
        self._show(text.replace("\x7f", "").replace("\b", ""))

    def _is_too_long(self) -> bool:
        size = len(self._line) + sum(map(len, self._block))
        return size > MAX_COMMAND_CHARS or len(self._block) >= MAX_UNFINISHED_LINES

    async def _enter(self, line: str) -> None:
        self._block.append(line)
        source = "\n".join(self._block)
        try:
            is_whole = code.compile_command(source, "<terminal>", "exec") is not None
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError):
            is_whole = True
        if not is_whole:
            self._show(CONTINUATION)
            return
        self._block.clear()
        _, output = await self.execute(source)
        self._show(f"{output}\n{PROMPT}" if output else PROMPT)

    async def execute(self, source: str, timeout_s: float = STATEMENT_TIMEOUT_S) -> tuple[bool, str]:
        """Run source code; whether it succeeded, and what it printed with the value at its end.

        Whatever it raises, `SystemExit` included, ends itself alone. What it awaits is given up after
        `timeout_s`.
        """
        self._out.clear()
        timer = asyncio.timeout(timeout_s)
        try:
            async with timer:
                value = await self._run(source)
            if value is not None:
                self._out.write(repr(value))
            return True, self._printed()
        except Exception:  # a person at a prompt sees what went wrong
            if timer.expired():
                self._out.write(f"TimeoutError: The statement is given up, it waited for {timeout_s:g} s.")
            else:
                self._out.write(traceback.format_exc(limit=-3))
        except BaseException as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the server stops
                raise
            self._out.write(f"{type(error).__name__}: Only this statement ended; the server goes on.")
        return False, self._printed()

    def _printed(self) -> str:
        return self._out.tail().rstrip("\n")

    async def _run(self, source: str) -> Any:
        tree = ast.parse(source, "<terminal>")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        await self._evaluate(compile(tree, "<terminal>", "exec", _TOP_LEVEL_AWAIT))
        if last is None:
            return None
        assert isinstance(last, ast.Expr)
        return await self._evaluate(
            compile(ast.Expression(last.value), "<terminal>", "eval", _TOP_LEVEL_AWAIT)
        )

    async def _evaluate(self, compiled: Any) -> Any:
        value = eval(compiled, self._names)
        return await value if compiled.co_flags & inspect.CO_COROUTINE else value


def _leave(status: object = None) -> None:
    """Python's own `exit` would close the server's standard input, too."""
    raise SystemExit(status)


class AdminUtilsWithTerminal(AdminUtils):
    """List, kick out, unload, block; usage, metrics, the audit log, and a prompt inside the server."""

    def __init__(self, parts: Parts, names: PromptNames) -> None:
        super().__init__(parts)
        self._bound = names.bound
        self._terminal: Terminal | None = None
        self._typing = asyncio.Lock()

    def _opened(self) -> Terminal:
        if self._terminal is None:
            self._terminal = Terminal(self._bound())
        return self._terminal

    @permission(Level.ADMIN, by_root=True)
    async def start_terminal(self, *, context: Context) -> dict[str, Any]:
        """Open the prompt, or return to the one that is open."""
        self._note("start_terminal", context)
        return {"success": True, "screen": self._opened().screen}

    @permission(Level.ADMIN, by_root=True)
    async def resize_terminal(self, rows: int, cols: int, *, context: Context) -> dict[str, Any]:
        """Tell how many rows and columns are shown.

        Args:
            rows: 1 to 1000.
            cols: 1 to 1000.
        """
        if not is_whole(rows) or not is_whole(cols):
            raise InvalidRequest("rows and cols must be whole numbers.")
        if not 0 < rows <= MAX_ROWS or not 0 < cols <= MAX_COLUMNS:
            raise InvalidRequest("rows and cols must be from 1 to 1000.")
        terminal = self._opened()
        terminal.rows, terminal.columns = rows, cols
        return {"success": True}

    @permission(Level.ADMIN, by_root=True)
    async def read_terminal(self, *, context: Context) -> dict[str, Any]:
        """Read what was printed since the last read."""
        return {"success": True, "output": self._opened().read()}

    @permission(Level.ADMIN, by_root=True)
    async def get_screen_content(self, *, context: Context) -> dict[str, Any]:
        """Read everything that is on the screen."""
        return {"success": True, "content": self._opened().screen}

    @permission(Level.ADMIN, by_root=True)
    async def write_terminal(self, data: str, *, context: Context) -> dict[str, Any]:
        """Type characters; a line is run when it ends.

        A statement of more than 65,536 characters or 1,000 lines is dropped.

        Args:
            data: Characters, line ends included, at most 65,536.
        """
        terminal = self._opened()
        self._note("write_terminal", context)
        async with self._typing:
            await terminal.write(_command(data))
        return {"success": True}

    @permission(Level.ADMIN, by_root=True)
    async def execute_command(
        self, command: str, timeout: float = STATEMENT_TIMEOUT_S, *, context: Context
    ) -> dict[str, Any]:
        """Run Python code inside the server; `await` may be used.

        Returns `{success, output}`, the output being what was printed (the last 262,144 characters) and
        the last value. `exit()` and other ways to leave end the code, never the server.

        Args:
            command: The code, at most 65,536 characters.
            timeout: Seconds (3600 at most) after which what it awaits is given up.
        """
        if not is_number(timeout) or not 0 < timeout <= MAX_STATEMENT_TIMEOUT_S:
            raise InvalidRequest(f"timeout must be above 0 and at most {MAX_STATEMENT_TIMEOUT_S:g} seconds.")
        terminal = self._opened()
        self._note("execute_command", context)
        async with self._typing:
            succeeded, output = await terminal.execute(_command(command), float(timeout))
        return {"success": succeeded, "output": output}


def _command(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_COMMAND_CHARS:
        raise InvalidRequest(f"Send text of at most {MAX_COMMAND_CHARS} characters.")
    return value
