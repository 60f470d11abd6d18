"""The stores in which artifacts lie whose secrets name one: opened when somebody needs them, few at a time.

A home is a place with a key, on record under an id of its own, and begins no key but those of its files. So
files are found, and deleted, by the record that was made for them, whatever the secrets say by now.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from hypha.errors import BackendUnavailable, ConfigurationError
from hypha.features.artifacts.places import FLAG, Place, Places
from hypha.features.artifacts.tables import ArtifactHome
from hypha.limits import BoundedMap
from hypha.locks import NamedLocks
from hypha.objects.homes import AsGuest, Homes, Opened, folder_at
from hypha.store.repository import Connections
from hypha.store.sealing import Seal

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

    from hypha.objects.s3.store import S3Objects

MAX_OPEN_HOMES = 16
"""Of those that nobody uses at the moment; each has a client and connections."""
PAUSE_S = 10.0
"""A home that could not be opened is not tried again for so long."""
_FAILURES_KEPT = 1000
FAILS = (
    "The storage that the secrets of this artifact name does not answer as it should, or refuses their key: "
    "nothing was changed. Look at its S3_… secrets, and try again later."
)
NOT_ALLOWED = (
    f"The storage in which this artifact lies is not in use on this server any more: its operator may allow "
    f"it, with {FLAG}."
)
MISSING = f"{FLAG} needs further packages: pip install 'hypha-server[s3]'."


class HomeUnavailable(BackendUnavailable):
    """The storage of an artifact that is not the server's cannot be used."""


class HomeGone(HomeUnavailable):
    """Nothing is known of it any more."""


@dataclass(slots=True)
class _Entry:
    store: S3Objects
    lead: str
    users: int = 0
    is_over: bool = False


class ArtifactHomes(Homes):
    """Opens homes by their records.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        connections: Connections,
        seal: Seal,
        places: Places,
        as_guest: AsGuest,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._seal = seal
        self._places = places
        self._as_guest = as_guest
        self._clock = clock
        self._open: OrderedDict[str, _Entry] = OrderedDict()
        self._failed: BoundedMap[str, float] = BoundedMap(_FAILURES_KEPT)
        self._session: AioSession | None = None
        self._opening = NamedLocks()
        self._closing = set[asyncio.Task[None]]()
        with suppress(ImportError):
            from hypha.objects.s3.store import S3Objects

            self.gathered_bytes = S3Objects.gathered_bytes
            self.gathered_part_bytes = S3Objects.gathered_part_bytes

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def opened(self, workspace: str, home: str) -> AsyncIterator[Opened]:
        """See `Homes`.

        Raises:
            HomeUnavailable.
        """
        entry = self._open.get(home) or await self._opened(workspace, home)
        self._open.move_to_end(home)
        entry.users += 1
        try:
            yield Opened(entry.store, entry.lead)
        except HomeUnavailable:
            raise
        except BackendUnavailable:
            raise HomeUnavailable(FAILS) from None
        finally:
            entry.users -= 1
            if entry.is_over:
                self._end(entry)
            self._close_idle()

    async def _opened(self, workspace: str, home: str) -> _Entry:
        async with self._opening.held(home):
            if home in self._open:
                return self._open[home]
            if (self._failed.get(home) or 0.0) > self._clock():
                raise HomeUnavailable(FAILS)
            place = await self._place(workspace, home)
            try:
                entry = self._open[home] = await self._started(place, f"{folder_at(workspace, home)}/")
            except BackendUnavailable:
                self._failed.put(home, self._clock() + PAUSE_S)
                raise HomeUnavailable(FAILS) from None
            return entry

    async def _place(self, workspace: str, home: str) -> Place:
        query = select(ArtifactHome.sealed).where(
            ArtifactHome.id == home, ArtifactHome.workspace == workspace
        )
        async with self._connections.reading() as connection:
            sealed = (await connection.execute(query)).scalar_one_or_none()
        if sealed is None:
            raise HomeGone("The storage of this artifact is not known any more.")
        place = Place.decoded(self._seal.open(sealed, seal_place(home)))
        if not self._places.allows(place):
            raise HomeUnavailable(NOT_ALLOWED)
        return place

    async def _started(self, place: Place, folder: str) -> _Entry:
        from hypha.objects.s3.control import loaded_session
        from hypha.objects.s3.endpoint import Endpoint
        from hypha.objects.s3.store import S3Objects

        endpoint = Endpoint(
            place.url, place.bucket, place.access_key_id, place.secret_access_key, place.region,
            heeds_proxies=self._as_guest.heeds_proxies,
        )  # fmt: skip
        if self._session is None:
            self._session = await asyncio.to_thread(loaded_session)
        store = S3Objects(endpoint, is_bounded=False, session=self._session)
        store.spool.least_free_bytes = self._as_guest.least_free_bytes
        await store.start_as_guest(place.prefix + folder)
        return _Entry(store, place.prefix)

    def forget(self, home: str) -> None:
        """The key of a home was changed: whoever comes next uses the new one."""
        self._failed.pop(home)
        entry = self._open.pop(home, None)
        if entry is not None:
            entry.is_over = True
            self._end(entry)

    def _close_idle(self) -> None:
        idle = [home for home, entry in self._open.items() if not entry.users]
        for home in idle[: max(0, len(idle) - MAX_OPEN_HOMES)]:
            self._end(self._open.pop(home))

    def _end(self, entry: _Entry) -> None:
        if not entry.users:
            task = asyncio.get_running_loop().create_task(entry.store.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all."""
        entries, self._open = list(self._open.values()), OrderedDict()
        await asyncio.gather(*self._closing, *(entry.store.close() for entry in entries))


def seal_place(home: str) -> str:
    """What the record of a home is sealed for."""
    return f"home {home}"


def check_packages() -> None:
    """Raise ConfigurationError where packages are missing without which no home can be opened."""
    try:
        import hypha.objects.s3.store  # noqa: F401
    except ImportError:
        raise ConfigurationError(MISSING) from None
