"""One connection to Redis: what one turn of the event loop asks goes together, and is answered in order.

A link that breaks ends all that is not answered, and comes back by itself; what is asked meanwhile is
refused at once. Nothing is ever sent twice: whether something was done whose link broke before its answer
came is open.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Self

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from hypha.errors import BackendUnavailable, ConfigurationError

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 1.0
"""Redis that does not answer for so long, or a little longer, counts as gone."""
_PAUSES_S = (0.05, 0.1, 0.2, 0.5)
"""Between attempts to reach it again; the last one over and over."""

Word = bytes | str | int
_Wish = tuple[tuple[Word, ...], asyncio.Future[Any]]


def read_uri(uri: str) -> ConnectionPool:
    """What makes connections to that Redis.

    Raises:
        ConfigurationError: it cannot be read; the text does not repeat it, as it may hold a password.
    """
    try:
        return ConnectionPool.from_url(
            uri,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=ANSWER_TIMEOUT_S,
            socket_timeout=None,
            protocol=2,
        )
    except (ValueError, TypeError):
        raise ConfigurationError(
            "--redis-uri cannot be read: use redis://<user>:<password>@<host>:<port>/<number>."
        ) from None


class Script:
    """A script that runs in Redis, which keeps it under its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """One connection.

    Args:
        name: for the log.
        scripts: those that it runs.
        timeout_s: how long an answer may take; longer for commands that wait.
        on_lost: is called when it breaks. on_back: when it is there again.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        name: str,
        scripts: Sequence[Script] = (),
        *,
        timeout_s: float = ANSWER_TIMEOUT_S,
        on_lost: Callable[[], None] | None = None,
        on_back: Callable[[], None] | None = None,
    ) -> None:
        self._pool = pool
        self._name = name
        self._scripts = scripts
        self._timeout_s = timeout_s
        self._on_lost, self._on_back = on_lost, on_back
        self._connection: AbstractConnection | None = None
        self._asked: list[_Wish] = []
        """What goes when this turn is over."""
        self._sent: deque[_Wish] = deque()
        """What is to be answered, in order."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._work: list[asyncio.Task[None]] = []
        """Writing and reading."""
        self.trips = 0
        """How often something was sent: what went together counts once."""

    @property
    def is_up(self) -> bool:
        """True while Redis is reached."""
        return self._connection is not None

    @property
    def is_opened(self) -> bool:
        """True until it is closed, whether Redis is reached or not."""
        return self._task is not None

    async def open(self) -> Self:
        """Reach it.

        Raises:
            BackendUnavailable: it cannot be reached, or does not let us in.
        """
        self._connection = await self._connect()
        self._task = asyncio.create_task(self._run(self._connection))
        return self

    async def close(self) -> None:
        """Ask nothing any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._lose(None)

    def drop(self) -> None:
        """Break the connection, as a network does."""
        for task in self._work:
            task.cancel()

    def ask(self, *words: Word) -> asyncio.Future[Any]:
        """Send a command; its answer. While Redis is not reached: `BackendUnavailable`."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._connection is None:
            future.set_exception(_unreached())
        else:
            self._asked.append((words, future))
            self._wake.set()
        future.add_done_callback(_seen)
        return future

    def run(self, script: Script, *words: Word) -> asyncio.Future[Any]:
        """Run one of the scripts that were given."""
        return self.ask("EVALSHA", script.sha, 0, *words)

    # -- the connection

    async def _connect(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            for script in self._scripts:
                await connection.send_command("SCRIPT", "LOAD", script.text)
                await connection.read_response(timeout=self._timeout_s)
        except (RedisError, OSError) as error:
            logger.debug("%s: no connection: %s", self._name, error)
            await connection.disconnect(nowait=True)
            raise _unreached() from None
        return connection

    async def _run(self, connection: AbstractConnection) -> None:
        """Keep a connection for as long as the link lasts."""
        while True:
            try:
                await self._serve(connection)
            finally:
                self._lose(connection)
                await connection.disconnect(nowait=True)
            connection = await self._again()
            self._connection = connection
            if self._on_back is not None:
                self._on_back()

    async def _again(self) -> AbstractConnection:
        attempt = 0
        while True:
            await asyncio.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
            attempt += 1
            try:
                connection = await self._connect()
            except BackendUnavailable:
                continue
            logger.info("%s: Redis is there again", self._name)
            return connection

    def _lose(self, connection: AbstractConnection | None) -> None:
        """End all that was asked."""
        was_up, self._connection = self._connection is not None, None
        wishes = [*self._sent, *self._asked]
        self._sent.clear()
        self._asked.clear()
        for _, future in wishes:
            if not future.done():
                future.set_exception(_unreached())
        if connection is not None and was_up and self._task is not None:
            logger.warning("%s: Redis does not answer", self._name)
            if self._on_lost is not None:
                self._on_lost()

    async def _serve(self, connection: AbstractConnection) -> None:
        """Send and receive until the connection breaks."""
        self._work = [asyncio.create_task(step(connection)) for step in (self._write, self._read)]
        try:
            await asyncio.wait(self._work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.drop()
            await asyncio.gather(*self._work, return_exceptions=True)

    async def _write(self, connection: AbstractConnection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            wishes, self._asked = self._asked, []
            if not wishes:
                continue
            self._sent.extend(wishes)
            self.trips += 1
            packed = connection.pack_commands([words for words, _ in wishes])
            try:
                await connection.send_packed_command(packed, check_health=False)
            except (RedisError, OSError):
                return

    async def _read(self, connection: AbstractConnection) -> None:
        """Take answers until the connection breaks, or one does not come in time."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None
        awaited: _Wish | None = None

        def look() -> None:
            """End the connection if what was awaited at the last look is awaited still."""
            nonlocal timer, awaited
            first = self._sent[0] if self._sent else None
            if first is not None and first is awaited:
                self.drop()
                return
            awaited = first
            timer = loop.call_later(self._timeout_s, look)

        look()
        try:
            while True:
                try:
                    answer = await connection.read_response(disable_decoding=True, timeout=inf)
                except NoScriptError:
                    return  # somebody has emptied it: the next connection brings the scripts
                except ResponseError as error:
                    logger.error("%s: Redis refuses: %s", self._name, error)
                    answer = _unreached()
                _, future = self._sent.popleft()
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        except (RedisError, OSError, IndexError):
            return
        finally:
            if timer is not None:
                timer.cancel()


def _seen(future: asyncio.Future[Any]) -> None:
    """What is posted fails silently: who cares looks at the future."""
    if not future.cancelled():
        future.exception()


def _unreached() -> BackendUnavailable:
    return BackendUnavailable("What the replicas share cannot be reached now. Try again in a moment.")
