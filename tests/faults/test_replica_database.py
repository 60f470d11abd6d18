"""Replicas on one PostgreSQL: what is set at one is there at the other, and none ends what others own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, eventually
from tests.kit.clients import Connections
from tests.kit.people import make_person
from tests.kit.postgres import PostgresServer, running_postgres
from tests.kit.redis import RedisServer, running_redis
from tests.kit.replicas import running_replicas

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    yield from running_redis("valkey")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    yield from running_postgres()


@pytest.fixture
def servers(redis: RedisServer, postgres: PostgresServer) -> Iterator[list[ServerProcess]]:
    flags = f"--redis-uri={redis.uri}", f"--database-uri={postgres.new_database()}"
    yield from running_replicas(*flags, start_timeout_s=90)


@pytest_asyncio.fixture(loop_scope="session")
async def clients(servers: list[ServerProcess]) -> AsyncIterator[Connections]:
    made = Connections(servers[0])
    yield made
    await made.close()


async def test_two_servers_start_side_by_side_on_one_database_and_share_what_is_set(
    servers: list[ServerProcess], clients: Connections
) -> None:
    person = make_person(servers[0], "alice")
    a = await clients.connect(person)
    b = await clients.connect(person, url=servers[1].url)
    await a.set_env("KEY", "secret value")
    assert await b.get_env("KEY") == "secret value"
    made = await a.create_workspace({"name": "lab-of-both", "persistent": True})
    there = await clients.connect(person, url=servers[1].url, workspace=made["id"])
    assert there.config.workspace == made["id"]


async def test_a_server_that_comes_or_goes_takes_nothing_of_the_others_away(
    servers: list[ServerProcess], clients: Connections
) -> None:
    person = make_person(servers[0], "bob")
    a = await clients.connect(person, client_id="a")
    made = await a.create_workspace({"name": "short-lived", "persistent": False})
    inside = await clients.connect(person, client_id="inside", workspace=made["id"])
    await inside.set_env("KEY", "1")
    servers[1].restart(kill=True)
    visitor = await clients.connect(person, client_id="v", url=servers[1].url, workspace=made["id"])
    assert await visitor.get_env("KEY") == "1"
    await visitor.disconnect()
    assert await inside.get_env("KEY") == "1"
    again = await clients.connect(person, client_id="w", url=servers[1].url, workspace=made["id"])
    await inside.disconnect()
    assert await eventually(lambda: again.get_env("KEY"), within_s=20) == "1"
