"""The registry finds exactly what is asked for, at a cost that does not grow with the rest."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.addresses import ServiceQuery
from hypha.registry import index
from hypha.registry.index import Registry, ServiceFilter
from hypha.registry.records import Registrant, ServiceRecord, parse_registration


def record(workspace: str, client: str, name: str, **info: Any) -> ServiceRecord:
    who = Registrant(workspace, client, "u")
    return parse_registration({"id": f"{workspace}/{client}:{name}", **info}, who)


def ids(records: list[ServiceRecord]) -> list[str]:
    return [found.id for found in records]


def query(text: str) -> ServiceQuery:
    return ServiceQuery.parse(text, "w")


def test_replacing_returns_the_old_record_and_keeps_its_place(registry: Registry) -> None:
    registry.add(record("w", "a", "s", description="old"))
    registry.add(record("w", "b", "s"))
    replaced = registry.add(record("w", "a", "s", description="new", type="other"))
    assert replaced is not None and replaced.description == "old"
    assert ids(registry.candidates(query("s"))) == ["w/a:s", "w/b:s"]
    assert registry.find(ServiceFilter("w", type="generic")) == [record("w", "b", "s")]
    assert len(registry) == 2


@pytest.mark.spec("core-R1", "wire-34")
@pytest.mark.parametrize("text", ["s", "w/s", "a:s", "w/a:s", "*:s", "w/*:s", "s@app", "w/a:s@app", "a:s@*"])
def test_every_short_id_finds_the_service(registry: Registry, text: str) -> None:
    registry.add(record("w", "a", "s", app_id="app"))
    registry.add(record("w", "a", "t"))
    registry.add(record("x", "a", "s"))
    assert ids(registry.candidates(query(text))) == ["w/a:s"]


@pytest.mark.spec("core-R4", "core-11.1.10")
@pytest.mark.parametrize(
    "text", ["w/*:h*", "w/*:hidde?", "w/*:[h]idden", "w*/*:hidden", "?/a:hidden", "w/a*:hidden"]
)
def test_pattern_characters_match_nothing(registry: Registry, text: str) -> None:
    registry.add(record("w", "a", "hidden", config={"visibility": "unlisted"}))
    assert registry.candidates(query(text)) == []


def test_removing_leaves_no_trace(registry: Registry) -> None:
    registry.add(record("w", "a", "s", app_id="app", config={"visibility": "public", "singleton": True}))
    registry.add(record("w", "a", "t"))
    assert registry.remove("w", "a", "s") is not None
    assert registry.remove("w", "a", "s") is None
    assert ids(registry.remove_client("w", "a")) == ["w/a:t"]
    assert registry._buckets == {} and len(registry) == 0


def test_removing_one_client_leaves_the_others(registry: Registry) -> None:
    for client in ("a", "b"):
        registry.add(record("w", client, "s"))
    registry.remove_client("w", "a")
    assert ids(registry.find(ServiceFilter("w"))) == ["w/b:s"]


def test_filters_combine(registry: Registry) -> None:
    registry.add(record("w", "a", "s", type="x", app_id="p"))
    registry.add(record("w", "b", "s", type="y", app_id="p"))
    registry.add(record("w", "b", "t", type="y", config={"visibility": "public"}))
    find = registry.find
    assert ids(find(ServiceFilter("w", type="y"))) == ["w/b:s", "w/b:t"]
    assert ids(find(ServiceFilter("w", app_id="p", type="y"))) == ["w/b:s"]
    assert ids(find(ServiceFilter("w", client_id="b", visibility="public"))) == ["w/b:t"]
    assert ids(find(ServiceFilter("w", client_id="a", name="s", type="y"))) == []


def test_without_workspace_only_public_services_are_found(registry: Registry) -> None:
    registry.add(record("w", "a", "s", config={"visibility": "public"}))
    registry.add(record("x", "a", "s", config={"visibility": "public"}, app_id="p", type="t"))
    registry.add(record("x", "b", "s"))
    registry.add(record("x", "a", "built-in", config={"visibility": "public"}))
    assert ids(registry.find(ServiceFilter())) == ["w/a:s", "x/a:s"]
    assert ids(registry.find(ServiceFilter(name="s", type="t", app_id="p"))) == ["x/a:s"]


class Counting(dict[Any, Any]):
    """A bucket that counts how many of its records are looked at."""

    looked_at = 0

    def values(self) -> Any:
        for value in super().values():
            Counting.looked_at += 1
            yield value


def looked_at(registry: Registry, wanted: ServiceFilter) -> int:
    Counting.looked_at = 0
    buckets = registry._buckets
    registry._buckets = {key: Counting(bucket) for key, bucket in buckets.items()}
    registry.find(wanted)
    registry._buckets = buckets
    return Counting.looked_at


@pytest.mark.parametrize("others", [10, 3000])
def test_finding_looks_only_at_what_it_finds(registry: Registry, others: int) -> None:
    for number in range(others):
        registry.add(record(f"w{number % 7}", f"c{number}", "s", config={"visibility": "public"}))
    registry.add(record("w", "a", "s"))
    registry.add(record("w1", "special", "s", type="rare"))
    assert looked_at(registry, ServiceFilter("w", name="s")) == 1
    assert looked_at(registry, ServiceFilter("w1", type="rare")) == 1
    assert looked_at(registry, ServiceFilter("w1", client_id="special")) == 1
    assert looked_at(registry, ServiceFilter("w1", client_id="special", name="s")) == 0


@pytest.mark.parametrize("others", [10, 3000])
def test_registering_touches_a_fixed_number_of_buckets(registry: Registry, others: int) -> None:
    for number in range(others):
        registry.add(record("w", f"c{number}", "s", config={"visibility": "public"}))
    added = record("w", "a", "s", config={"visibility": "public", "singleton": True}, app_id="p")
    assert len(index._index_keys(added)) == 10
    assert registry.count_of_client("w", "c1") == 1
