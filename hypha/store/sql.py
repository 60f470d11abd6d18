"""The store: one database, its repositories, and the rules for reading and writing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Self

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hypha.errors import BackendUnavailable, ConfigurationError, HyphaError, LimitReached
from hypha.limits.turns import Turns
from hypha.store import engines, schema
from hypha.store.audit import AuditRecords
from hypha.store.blocklist import BlockRecords
from hypha.store.bookmarks import Bookmarks
from hypha.store.claim import Claim
from hypha.store.condition import Condition
from hypha.store.environment import Environment
from hypha.store.events import Events
from hypha.store.facts import Facts
from hypha.store.issued_tokens import IssuedTokens
from hypha.store.kept import KeptConnections
from hypha.store.replicas import Lease
from hypha.store.repository import upsert
from hypha.store.service_types import ServiceTypes
from hypha.store.subscriptions import Subscriptions
from hypha.store.tables import Fact
from hypha.store.tokens import RevokedTokens
from hypha.store.usage import Usage
from hypha.store.workspaces import Workspaces

SEARCH_S = 5.0
"""How long a search may take."""
MAX_SEARCHES_WAITING = 64
"""Of one person or address."""
_MANY_SEARCHES = "Too many searches of yours wait already. Please try again."
_LONG_SEARCH = "This search takes too long: look for fewer and shorter words, or in one collection."


class Store:
    """Records that last.

    A write is acknowledged when its transaction is on disk. On SQLite writers queue here, so that
    they don't wait for each other inside the database; on PostgreSQL they run side by side. Who queues
    gets its turn as `Turns` says, so that nobody's many wishes hold up those of others.
    `condition` says whether the database can be used now.

    Args:
        uri: `sqlite+aiosqlite:///<path>`, `postgresql+asyncpg://…`, or `:memory:`; or the URL itself.

    Raises:
        ConfigurationError: from the constructor, for a URI or driver that cannot be used.
    """

    def __init__(self, uri: str | URL) -> None:
        self._url = engines.parse_uri(engines.MEMORY_URI if uri == ":memory:" else uri)
        self.is_memory = engines.is_memory(self._url)
        self._is_sqlite = self._url.get_backend_name() == "sqlite"
        with self._options_told():
            self._engine: AsyncEngine = engines.make_engine(self._url)
        self._writer = self._engine.execution_options(**{engines.WRITES: True})
        self._kept = (KeptConnections(self._engine), KeptConnections(self._writer)) if self._is_sqlite else ()
        slots = engines.side_by_side(self._url)
        self._writing = Turns(1 if self._is_sqlite else slots)
        self._reading = self._writing if self.is_memory else Turns(slots)
        searches = slots - 1 if self._is_sqlite else slots // 2  # two at least, where a database lets them
        self._searching = Turns(
            max(1, searches), per_party=1, most_per_party=MAX_SEARCHES_WAITING, told=_MANY_SEARCHES
        )
        self._is_open = False
        self.condition = Condition()
        self.claim = Claim(self._url, self._engine, self.shown)
        self.lease = Lease(self, renews=not self._is_sqlite)
        self.workspaces = Workspaces(self)
        self.usage = Usage(self)
        self.environment = Environment(self, self.usage)
        self.bookmarks = Bookmarks(self, self.usage)
        self.service_types = ServiceTypes(self, self.usage)
        self.events = Events(self, self.usage)
        self.revoked_tokens = RevokedTokens(self)
        self.subscriptions = Subscriptions(self)
        self.facts = Facts(self)
        self.blocks = BlockRecords(self)
        self.issued_tokens = IssuedTokens(self)
        self.audit = AuditRecords(self)

    async def open(self, holder: str | None = None, name: str = "", *, shares: bool = False) -> Self:
        """Connect and bring the database to the newest shape.

        Args:
            holder: the address of a server that claims the database for itself, before it changes anything.
            name: the id of that server, for people.
            shares: it claims the database beside other replicas, if that can be; see `is_shareable`.

        Raises:
            ConfigurationError: it cannot be reached or written, another server holds it, or it was written
                by a newer version.
        """
        try:
            with self._options_told():
                async with self.reading():
                    pass  # what the driver refuses is told from what the database refuses
            if holder is not None and not self.is_memory and not (shares and self.is_shareable):
                async with self._translated():
                    await self.claim.take(holder)
            async with self.writing() as connection:
                await connection.run_sync(schema.prepare)
            if holder is not None:
                await self.lease.take(name, holder)
                await (self.lease.end_lapsed() if shares and self.is_shareable else self.lease.end_others())
        except BaseException as error:
            await self.close()
            if isinstance(error, BackendUnavailable):
                raise ConfigurationError(self._why_closed(error)) from error
            raise
        self._is_open = True
        return self

    @contextlib.contextmanager
    def _options_told(self) -> Iterator[None]:
        """Say in one sentence that an option of the URI is wrong."""
        try:
            yield
        except ConfigurationError:
            raise
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"The database {self.shown} cannot be opened: an option of its URI is wrong ({error})"
            ) from error

    @property
    def replica(self) -> int | None:
        """Whose the rows are that are written here (`hypha/store/replicas.py`); None where no server runs."""
        return self.lease.replica

    @property
    def is_shareable(self) -> bool:
        """Whether several replicas can work on the database: it is PostgreSQL."""
        return not self._is_sqlite

    @property
    def shown(self) -> str:
        """Where the records are, without a password."""
        return self._url.set(query={}).render_as_string(hide_password=True)

    def _why_closed(self, error: BackendUnavailable) -> str:
        cause = getattr(error.__cause__, "orig", None) or error.__cause__ or error
        hint = "see whether it is there, whole, and may be written"
        return f"The database {self.shown} cannot be opened ({cause}): {hint}"

    async def close(self) -> None:
        """Close all connections; what was acknowledged is on disk already."""
        with contextlib.suppress(BackendUnavailable):  # then the next server ends it
            await self.lease.release()
        for kept in self._kept:
            await kept.close()
        await self._engine.dispose()
        await self.claim.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read from.

        Raises:
            BackendUnavailable: for every fault of the database.
        """
        if not self._is_sqlite:
            self.condition.check()
        async with self._reading.taken(), self._translated():
            if not self._is_sqlite:
                self.condition.check()
            async with self._kept[0].reading() if self._kept else self._engine.connect() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def searching(self) -> AsyncIterator[AsyncConnection]:
        """A connection for statements that may look through much: one party has one at a time, and there is
        always another one for those who read.

        Raises:
            LimitReached: it took longer than `SEARCH_S`, or too many searches of the party wait.
            BackendUnavailable.
        """
        async with self._searching.taken(), self.listing() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def listing(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read from, for statements that find by an index what they show.

        Raises:
            LimitReached: it took longer than `SEARCH_S` all the same. BackendUnavailable.
        """
        async with self.reading() as connection:
            try:
                async with engines.limited(connection, SEARCH_S):
                    yield connection
            except DBAPIError as error:
                if engines.is_cut_off(error):
                    raise LimitReached(_LONG_SEARCH) from None
                raise

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A connection inside a transaction that is committed, and flushed, at the end.

        Raises:
            BackendUnavailable: for every fault of the database; nothing was changed.
            IntegrityError: a key is taken; for the repositories, which know what that means.
        """
        self.condition.check()
        async with self._writing.taken():
            self.condition.check()
            async with self._transaction() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._translated():
            async with self._kept[1].writing() if self._kept else self._writer.begin() as connection:
                yield connection

    async def watch(self) -> None:
        """Keep `condition` true until cancelled."""
        await self.condition.watch(self._look)

    async def _look(self, write: bool) -> None:
        """Use the database as others do, for nothing; BackendUnavailable if that fails."""
        async with self._writing.taken():
            async with self._transaction() as connection:
                if write:
                    row = {"key": "looked_at", "value": str(int(time.time()))}
                    await upsert(connection, Fact, row, ("key",))
                else:
                    await connection.execute(text("SELECT 1"))

    @contextlib.asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (IntegrityError, HyphaError):
            raise
        except (SQLAlchemyError, OSError, UnicodeError, OverflowError) as error:
            told = engines.translated(error)
            if isinstance(told, BackendUnavailable) and self._is_open:
                self.condition.note(told, is_slow=engines.takes_time(told))
            raise told from error
