"""Large messages to the server itself are opened in a thread, and all that is in them is looked at there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from hypha.errors import InvalidRequest
from hypha.wire.frames import decode_body
from hypha.wire.pieces import open_message
from hypha.wire.values import SERVICES, absolute_targets

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that was opened and looked into."""

    main: dict[str, Any]
    """Its envelope."""
    extra: dict[str, Any]
    """Its body."""
    functions: list[dict[Any, Any]]
    """The function values in its arguments, made absolute."""
    problem: InvalidRequest | None = None
    """Why these could not be looked for."""

    @classmethod
    def of(cls, main: dict[str, Any], extra: dict[str, Any], workspace: str) -> Opened:
        """Look at what a client of the workspace sent; of an answer only the first argument counts."""
        args = extra.get("args")
        if not str(main.get("method")).startswith(SERVICES) and isinstance(args, list):
            args = args[0] if args else None
        try:
            return cls(main, extra, absolute_targets(args, workspace))
        except InvalidRequest as problem:
            return cls(main, extra, [], problem)

    def found(self) -> list[dict[Any, Any]]:
        """The function values.

        Raises:
            InvalidRequest: the arguments are nested too deeply.
        """
        if self.problem is not None:
            raise self.problem
        return self.functions


class Opener:
    """The thread of one peer of the server: who sends large messages waits for others who do."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        """None until the first message: few peers ever get a large one."""

    async def message(self, pieces: Sequence[bytes], max_values: int, workspace: str) -> Opened:
        """Open a message that came in chunks.

        Raises:
            MalformedFrame: see `open_message`.
        """
        return await self._run(lambda: Opened.of(*open_message(pieces, max_values), workspace))

    async def frame(
        self, main: dict[str, Any], data: bytes, head: int, max_values: int, workspace: str, *, any_keys: bool
    ) -> Opened:
        """Open the body of a frame.

        Raises:
            MalformedFrame: see `decode_body`.
        """
        return await self._run(
            lambda: Opened.of(main, decode_body(data, head, max_values, any_keys=any_keys), workspace)
        )

    async def _run(self, job: Callable[[], Result]) -> Result:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "messages")
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    def close(self) -> None:
        """Open nothing more."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
