"""Large messages to the server itself are opened in a thread, and all that is in them is looked at there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from hypha.errors import InvalidRequest
from hypha.hub.shares import party_of
from hypha.limits.crew import Crew
from hypha.wire.frames import decode_body
from hypha.wire.pieces import open_message
from hypha.wire.values import SERVICES, absolute_targets
from hypha.wire.weights import memory_of

if TYPE_CHECKING:
    from hypha.hub.client import Client

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
    memory: int
    """About what the body takes, in bytes."""
    problem: InvalidRequest | None = None
    """Why these could not be looked for."""

    @classmethod
    def of(cls, main: dict[str, Any], extra: dict[str, Any], workspace: str) -> Opened:
        """Look at what a client of the workspace sent; of an answer only the first argument counts."""
        args, memory = extra.get("args"), memory_of(extra)
        if not str(main.get("method")).startswith(SERVICES) and isinstance(args, list):
            args = args[0] if args else None
        try:
            return cls(main, extra, absolute_targets(args, workspace), memory)
        except InvalidRequest as problem:
            return cls(main, extra, [], memory, problem)

    def found(self) -> list[dict[Any, Any]]:
        """The function values.

        Raises:
            InvalidRequest: the arguments are nested too deeply.
        """
        if self.problem is not None:
            raise self.problem
        return self.functions


class Opener:
    """The thread of one peer of the server; who sends many large messages waits for itself."""

    def __init__(self) -> None:
        self._crew: Crew | None = None
        """None until the first message: few peers ever get a large one."""

    async def message(self, sender: Client, pieces: Sequence[bytes], max_values: int) -> Opened:
        """Open a message that came in chunks.

        Raises:
            MalformedFrame: see `open_message`.
        """
        workspace = sender.workspace
        return await self._run(sender, lambda: Opened.of(*open_message(pieces, max_values), workspace))

    async def frame(
        self,
        sender: Client,
        main: dict[str, Any],
        data: bytes,
        head: int,
        max_values: int,
        *,
        any_keys: bool,
    ) -> Opened:
        """Open the body of a frame.

        Raises:
            MalformedFrame: see `decode_body`.
        """
        workspace = sender.workspace
        return await self._run(
            sender,
            lambda: Opened.of(main, decode_body(data, head, max_values, any_keys=any_keys), workspace),
        )

    async def _run(self, sender: Client, job: Callable[[], Result]) -> Result:
        if self._crew is None:
            self._crew = Crew(1, "messages")
        return await self._crew.work(job, party_of(sender))

    def close(self) -> None:
        """Open nothing more."""
        if self._crew is not None:
            self._crew.end()
