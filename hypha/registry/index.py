"""All registered services of this process, indexed by everything one may ask for."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from hypha.addresses import ServiceQuery
from hypha.registry.elsewhere import OtherReplicas
from hypha.registry.records import ServiceRecord

Key = tuple[str, str, str]
Bucket = dict[Key, ServiceRecord]


@dataclass(frozen=True, slots=True)
class ServiceFilter:
    """Which records are asked for; None leaves a part open. `docs` are compared as they were registered."""

    workspace: str | None = None
    client_id: str | None = None
    name: str | None = None
    type: str | None = None
    app_id: str | None = None
    visibility: str | None = None
    docs: Any = None

    def matches(self, record: ServiceRecord) -> bool:
        """True if the record has every part that is given."""
        return (
            (self.workspace is None or record.workspace == self.workspace)
            and (self.client_id is None or record.client_id == self.client_id)
            and (self.name is None or record.name == self.name)
            and (self.type is None or record.type == self.type)
            and (self.app_id is None or record.app_id == self.app_id)
            and (self.visibility is None or record.visibility == self.visibility)
            and (self.docs is None or record.docs == self.docs)
        )


_ALL = ("", "", "all")
_STRANGERS = ("", "", "strangers")


def _holders_of(record: ServiceRecord) -> tuple[tuple[str, ...], ...]:
    """For whom the bytes of a record count."""
    own = (record.workspace, record.client_id), (record.workspace,), _ALL
    return (*own, _STRANGERS) if record.is_of_stranger else own


class Registry:
    """The live registry: adding, removing and exact lookup are O(1), finding is O(smallest index hit).

    Records are held under one bucket per index key, and nothing else is ever scanned. Owners remove
    their records; the registry itself forgets nothing.
    """

    def __init__(self) -> None:
        self._records: Bucket = {}
        self._buckets: dict[tuple[str, ...], Bucket] = {}
        self._order = itertools.count(1)
        self._bytes: Counter[tuple[str, ...]] = Counter()
        self._hearers: list[Callable[[ServiceRecord], None]] = []
        self.elsewhere: OtherReplicas | None = None
        """The other replicas, whose services are held here as far as somebody asks; None: there are none."""

    def follow(self, hear: Callable[[ServiceRecord], None]) -> None:
        """Call `hear` with each record that is stored from now on; it must return at once, and not raise."""
        self._hearers.append(hear)

    def __len__(self) -> int:
        return len(self._records)

    def get(self, workspace: str, client_id: str, name: str) -> ServiceRecord | None:
        """The record of one client under one name."""
        return self._records.get((workspace, client_id, name))

    def add(self, record: ServiceRecord) -> ServiceRecord | None:
        """Store a record in place of any older one of the same key, which is returned.

        A replacement keeps the older one's place in the registration order.
        """
        key = record.key
        replaced = self._records.get(key)
        if replaced is not None:
            self._drop(key, replaced)
        order = next(self._order) if replaced is None else replaced.order
        record = replace(record, order=order)
        self._records[key] = record
        for holder in _holders_of(record):
            self._bytes[holder] += record.size_bytes
        for index in _index_keys(record):
            bucket = self._buckets.get(index)
            if bucket is None:
                bucket = self._buckets[index] = {}
            bucket[key] = record
        for hear in self._hearers:
            hear(record)
        return replaced

    def remove(self, workspace: str, client_id: str, name: str) -> ServiceRecord | None:
        """Forget one record and return it, or None if there is none."""
        key = (workspace, client_id, name)
        record = self._records.get(key)
        if record is not None:
            self._drop(key, record)
        return record

    def remove_client(self, workspace: str, client_id: str) -> list[ServiceRecord]:
        """Forget all records of a client and return them."""
        gone = self.of_client(workspace, client_id)
        for record in gone:
            self._drop(record.key, record)
        return gone

    def _drop(self, key: Key, record: ServiceRecord) -> None:
        del self._records[key]
        for holder in _holders_of(record):
            self._bytes[holder] -= record.size_bytes
            if not self._bytes[holder]:
                del self._bytes[holder]
        for index in _index_keys(record):
            bucket = self._buckets[index]
            del bucket[key]
            if not bucket:
                del self._buckets[index]

    def of_client(self, workspace: str, client_id: str) -> list[ServiceRecord]:
        """All records of one client, in registration order."""
        return _in_order(self._bucket("client", workspace, client_id).values())

    def count_of_client(self, workspace: str, client_id: str) -> int:
        """Number of a client's services, `built-in` included."""
        return len(self._bucket("client", workspace, client_id))

    def count_of_workspace(self, workspace: str) -> int:
        """Number of services in a workspace, `built-in` ones included."""
        return len(self._bucket("workspace", workspace))

    def bytes_of_client(self, workspace: str, client_id: str) -> int:
        """What the infos of a client's services take."""
        return self._bytes[(workspace, client_id)]

    def bytes_of_workspace(self, workspace: str) -> int:
        """What the infos of a workspace's services take."""
        return self._bytes[(workspace,)]

    def bytes_of_all(self, *, strangers: bool) -> int:
        """What the infos of all services take, or those of anonymous users."""
        return self._bytes[_STRANGERS if strangers else _ALL]

    def holders(self, workspace: str, name: str) -> Iterable[ServiceRecord]:
        """All records of a name in a workspace, as they lie; stop early where one suffices."""
        return self._bucket("name", workspace, name).values()

    def singletons(self, workspace: str, name: str) -> Iterable[ServiceRecord]:
        """The records of a name that claim to be the only one."""
        return self._bucket("singleton", workspace, name).values()

    def candidates(self, query: ServiceQuery) -> list[ServiceRecord]:
        """What a service id can mean, in registration order; only a lone `*` is a wildcard."""
        app_id = None if query.app_id == "*" else query.app_id
        if query.client_id == "*":
            return self.find(ServiceFilter(query.workspace, None, query.name, app_id=app_id))
        record = self._records.get((query.workspace, query.client_id, query.name))
        return [] if record is None or app_id not in (None, record.app_id) else [record]

    def find(self, wanted: ServiceFilter) -> list[ServiceRecord]:
        """All records with the given parts, in registration order.

        Without a workspace only public services are found (of all workspaces, `built-in` ones never).
        """
        if wanted.workspace and wanted.client_id and wanted.name:
            record = self.get(wanted.workspace, wanted.client_id, wanted.name)
            return [record] if record is not None and wanted.matches(record) else []
        found, is_exact = self._smallest(wanted)
        return _in_order(found.values() if is_exact else filter(wanted.matches, found.values()))

    def _smallest(self, wanted: ServiceFilter) -> tuple[Mapping[Key, ServiceRecord], bool]:
        """The smallest bucket that holds all that is wanted, and whether it holds nothing else."""
        workspace = wanted.workspace
        hits = [self._bucket("public") if workspace is None else self._bucket("workspace", workspace)]
        for part, value in (("name", wanted.name), ("type", wanted.type), ("app", wanted.app_id)):
            if value is None or (part, value) == ("app", "*"):
                continue
            index = ("public", part, value) if workspace is None else (part, workspace, value)
            hits.append(self._bucket(*index))
        if workspace is not None and wanted.client_id is not None:
            hits.append(self._bucket("client", workspace, wanted.client_id))
        parts = (
            wanted.client_id, wanted.name, wanted.type, wanted.app_id, wanted.visibility, wanted.docs,
        )  # fmt: skip
        given = sum(part is not None for part in parts)
        return min(hits, key=len), given == len(hits) - 1 <= 1

    def _bucket(self, *index: str) -> Mapping[Key, ServiceRecord]:
        return self._buckets.get(index, _EMPTY)


_EMPTY: Mapping[Key, ServiceRecord] = MappingProxyType({})


_order_of = attrgetter("order")


def _in_order(records: Iterable[ServiceRecord]) -> list[ServiceRecord]:
    return sorted(records, key=_order_of)


def _index_keys(record: ServiceRecord) -> list[tuple[str, ...]]:
    """Every index under which a record is found."""
    workspace, name = record.workspace, record.name
    keys: list[tuple[str, ...]] = [
        ("workspace", workspace),
        ("client", workspace, record.client_id),
        ("name", workspace, name),
        ("type", workspace, record.type),
    ]
    if record.app_id != "*":
        keys.append(("app", workspace, record.app_id))
    if record.is_singleton:
        keys.append(("singleton", workspace, name))
    if record.visibility == "public" and not record.is_built_in:
        keys += [("public",), ("public", "name", name), ("public", "type", record.type)]
        if record.app_id != "*":
            keys.append(("public", "app", record.app_id))
    return keys
