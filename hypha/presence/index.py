"""Services in memory by all that one may ask for: finding costs what the smallest bucket holds."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from operator import attrgetter

from hypha.presence.entries import ClientEntry, Room, ServiceEntry, Wanted

_Bucket = dict[tuple[str, str, str], ServiceEntry]
_PLACE = attrgetter("workspace", "order")


class Services:
    """All services of all clients."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, ...], _Bucket] = {}
        """By what one may ask for; none is empty."""
        self._bytes: Counter[tuple[str, ...]] = Counter()
        """What the records of each client and workspace take."""
        self._orders = itertools.count(1)

    def next_order(self) -> int:
        """The place of one that is new."""
        return next(self._orders)

    def get(self, key: tuple[str, str, str]) -> ServiceEntry | None:
        """The one of that key."""
        return self._bucket("client", *key[:2]).get(key)

    def of_client(self, client: ClientEntry) -> list[ServiceEntry]:
        """Those of one client."""
        return list(self._bucket("client", client.workspace, client.client_id).values())

    def rivals(self, service: ServiceEntry) -> Iterator[ServiceEntry]:
        """Those of other clients that cannot be beside it under its name."""
        kind = "name" if service.is_singleton else "singleton"
        for other in self._bucket(kind, service.workspace, service.name).values():
            if other.client_id != service.client_id and not other.is_built_in:
                yield other

    def used(self, holder: tuple[str, ...]) -> Room:
        """How many there are of a workspace or of a client in it, and what they take."""
        kind = "counted of client" if len(holder) == 2 else "counted"
        return Room(len(self._bucket(kind, *holder)), self._bytes[holder])

    def add(self, service: ServiceEntry) -> None:
        """Put it in, in place of the one of its key."""
        known = self.get(service.key)
        if known is not None:
            self.remove(known)
        for index in _indexes(service):
            self._buckets.setdefault(index, {})[service.key] = service
        self._count(service, len(service.record))

    def remove(self, service: ServiceEntry) -> None:
        """Take it out."""
        for index in _indexes(service):
            bucket = self._buckets[index]
            del bucket[service.key]
            if not bucket:
                del self._buckets[index]
        self._count(service, -len(service.record))

    def _count(self, service: ServiceEntry, size_bytes: int) -> None:
        if service.is_built_in:
            return
        for holder in ((service.workspace,), (service.workspace, service.client_id)):
            self._bytes[holder] += size_bytes
            if not self._bytes[holder]:
                del self._bytes[holder]

    def find(self, wanted: Wanted) -> list[ServiceEntry]:
        """Those that have what is wanted, by workspace in the order of their registration."""
        smallest = min((self._bucket(*index) for index in _asked(wanted)), key=len)
        return sorted(filter(wanted.matches, smallest.values()), key=_PLACE)

    def _bucket(self, *index: str) -> _Bucket:
        return self._buckets.get(index, {})


def _indexes(service: ServiceEntry) -> list[tuple[str, ...]]:
    """Every bucket in which it lies."""
    workspace, client_id, name = service.key
    parts = (("name", name), ("type", service.type), ("app", service.app_id))
    found = [("workspace", workspace), ("client", workspace, client_id)]
    found += [(kind, workspace, value) for kind, value in parts]
    if service.is_singleton:
        found.append(("singleton", workspace, name))
    if service.is_public:
        found += [("public",), *(("public", kind, value) for kind, value in parts)]
    if not service.is_built_in:
        found += [("counted", workspace), ("counted of client", workspace, client_id)]
    return found


def _asked(wanted: Wanted) -> Iterator[tuple[str, ...]]:
    """The buckets that hold all that is wanted."""
    place = ("public",) if wanted.workspace is None else ("workspace", wanted.workspace)
    yield place
    for kind, value in (("name", wanted.name), ("type", wanted.type), ("app", wanted.app_id)):
        if value is not None:
            yield ("public", kind, value) if wanted.workspace is None else (kind, wanted.workspace, value)
    if wanted.workspace is not None and wanted.client_id is not None:
        yield ("client", wanted.workspace, wanted.client_id)
