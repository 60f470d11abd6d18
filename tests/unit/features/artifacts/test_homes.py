"""Storages that secrets of artifacts name: which may be, which are open, and what becomes of their files."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import delete, insert, select

from hypha.errors import BackendUnavailable, ConfigurationError, Conflict, InvalidRequest, PermissionDenied
from hypha.features.artifacts.homes import MAX_OPEN_HOMES, ArtifactHomes, HomeUnavailable
from hypha.features.artifacts.homes_in_garbage import GIVEN_UP_S, PAUSE_S
from hypha.features.artifacts.housing import Housing
from hypha.features.artifacts.places import Places
from hypha.features.artifacts.tables import Artifact, ArtifactGarbage, ArtifactHome
from hypha.objects.homes import AsGuest, Homes, Opened, RoutedObjects
from hypha.objects.local import LocalObjects
from hypha.store import Store
from hypha.store.sealing import Seal
from tests.kit.fake_s3 import FakeS3, serving
from tests.kit.postgres import PostgresServer
from tests.unit.features.artifacts.lab import BUCKET, Lab


@pytest.fixture(params=["memory", pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres])])
def uri(request: pytest.FixtureRequest) -> str:
    """URI of an empty database: nothing here depends on the file of one."""
    if request.param == "memory":
        return ":memory:"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


SECRETS = {
    "S3_ENDPOINT_URL": "https://s3.example.org",
    "S3_ACCESS_KEY_ID": "id",
    "S3_SECRET_ACCESS_KEY": "hidden",
}
PLACES = Places(("https://s3.example.org", "http://127.0.0.1:9000/base/"), BUCKET)


class OneFolder(Homes):
    """All homes in one folder; `dead` ones fail, and are counted."""

    gathered_bytes = gathered_part_bytes = 1

    def __init__(self, store: LocalObjects) -> None:
        self.store, self.dead, self.failures = store, set[str](), list[str]()

    @asynccontextmanager
    async def opened(self, workspace: str, home: str) -> AsyncIterator[Opened]:
        if home in self.dead:
            self.failures.append(home)
            raise BackendUnavailable("It is dead.")
        yield Opened(self.store)


@pytest_asyncio.fixture
async def homes(tmp_path: Path) -> AsyncIterator[OneFolder]:
    store = await LocalObjects.open_at(tmp_path / "homes", BUCKET)
    yield OneFolder(store)
    await store.close()


@pytest_asyncio.fixture
async def lab(store: Store, tmp_path: Path, homes: OneFolder) -> AsyncIterator[Lab]:
    objects = await LocalObjects.open_at(tmp_path / "objects", BUCKET)
    routed: Any = RoutedObjects(objects, AsGuest(BUCKET))
    routed.homes = homes
    lab = Lab(store, routed)
    lab.secrets.housing = Housing(PLACES, Seal("secret"))
    yield lab
    await objects.close()


async def filled(lab: Lab, alias: str, **secrets: str) -> str:
    """An artifact with a file at a home; the id of that."""
    await lab.create(alias, stage=True, secrets={**SECRETS, **secrets})
    await lab.upload(alias, a_txt=alias)
    await lab.manager.commit(alias, context=lab.owner)
    found = await lab.parts.access.find(alias, lab.owner)
    assert found.home is not None
    return found.home


async def rows(lab: Lab, column: Any) -> list[Any]:
    async with lab.store.reading() as connection:
        return list((await connection.execute(select(column))).scalars())


async def at(homes: OneFolder) -> list[str]:
    """Whose files lie at homes."""
    found = (await homes.store.list()).objects
    return sorted(info.key.split("@")[1].partition("/")[0] for info in found if "/v0/" in info.key)


def test_an_endpoint_is_the_same_however_it_is_written() -> None:
    for url in ("https://s3.example.org", "HTTPS://S3.example.org:443/", " https://s3.example.org/ "):
        place = PLACES.of({**SECRETS, "S3_ENDPOINT_URL": url})
        assert place is not None and place.url == "https://s3.example.org:443" and place.bucket == BUCKET
        assert "hidden" not in repr(place)
    assert PLACES.of({**SECRETS, "S3_ACCESS_KEY_ID": None}) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://s3.example.org",
        "https://s3.example.org.evil.org",
        "https://s3.example.org:444",
        "https://s3.example.org/x",
        "https://s3.example.org@evil.org",
        "https://user:x@s3.example.org",
        "https://s3.example.org?x",
        "https://s3.example.org#x",
        "http://127.0.0.1:9000",
        "https://[",
        "https://s3.example.org:99999",
    ],
)
def test_nothing_near_an_endpoint_is_taken_for_it(url: str) -> None:
    with pytest.raises(PermissionDenied) as refused:
        PLACES.of({**SECRETS, "S3_ENDPOINT_URL": url})
    assert url not in str(refused.value)


@pytest.mark.parametrize("name", ["S3_BUCKET", "S3_PREFIX", "S3_REGION_NAME", "S3_ACCESS_KEY_ID"])
@pytest.mark.parametrize("value", ["a b", "a/../b\n", 5, "x" * 300])
def test_what_is_no_part_of_a_place_is_refused(name: str, value: object) -> None:
    if (name, value) == ("S3_PREFIX", "a b"):
        return
    with pytest.raises(InvalidRequest, match=name):
        PLACES.of({**SECRETS, name: value})


@pytest.mark.parametrize("region", ["123", "-x", "x-", "x.y", "eu west"])
def test_a_region_is_a_word(region: str) -> None:
    with pytest.raises(InvalidRequest, match="S3_REGION_NAME"):
        PLACES.of({**SECRETS, "S3_REGION_NAME": region})
    place = PLACES.of({**SECRETS, "S3_REGION_NAME": "eu-north-1"})
    assert place is not None and place.region == "eu-north-1"


@pytest.mark.parametrize("endpoint", ["http://s3.example.org", "s3.example.org", "ftp://x", "https://a:b@c"])
def test_endpoints_outside_need_https(endpoint: str) -> None:
    with pytest.raises(ConfigurationError):
        Places((endpoint,))
    Places(("http://minio:9000", "http://minio.internal", "http://10.0.0.1", "http://[::1]:9000"))


async def test_usual_artifacts_have_no_home(lab: Lab, homes: OneFolder) -> None:
    await lab.filled("data", a_txt="a")
    await lab.create("with", secrets={"S3_BUCKET": "x", "TOKEN": "y"})
    homes.dead = {""}
    assert not homes.failures and not await rows(lab, ArtifactHome.id)
    assert await rows(lab, Artifact.home) == [None, None]


async def test_a_dead_home_fails_once_a_round_and_holds_up_nothing(
    lab: Lab, homes: OneFolder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    dead, well = await filled(lab, "dead"), await filled(lab, "well")
    await filled(lab, "dead-2")
    await lab.filled("own", a_txt="a")
    homes.dead = {dead}
    for alias in ("dead", "well", "own"):
        await lab.manager.delete(alias, context=lab.owner)
    for _ in range(3):
        assert not any("own" in key for key in await lab.on_disk())
    assert homes.failures == [dead] and well not in await at(homes)
    assert len([record for record in caplog.records if dead in record.getMessage()]) == 1
    assert "hidden" not in caplog.text
    homes.dead, lab.now = set(), lab.now + PAUSE_S + 1
    await lab.on_disk()
    assert dead not in await at(homes) and len(await at(homes)) == 1


async def test_a_home_is_forgotten_after_its_files(lab: Lab, homes: OneFolder) -> None:
    gone, kept = await filled(lab, "gone"), await filled(lab, "kept")
    await homes.store.put(f"lab/artifacts/@{gone}/unknown/v0/late.txt", b"late")
    await lab.manager.delete("gone", context=lab.owner)
    await lab.on_disk()
    assert gone in await at(homes)  # an upload that came late
    await lab.garbage.find_left_behind()
    assert set(await rows(lab, ArtifactHome.id)) == {gone, kept}
    await lab.on_disk()
    await lab.garbage.find_left_behind()
    assert await rows(lab, ArtifactHome.id) == [kept] and await at(homes) == [kept]
    assert await lab.content("kept", "a.txt") == "kept"


async def test_a_dead_home_that_nobody_has_is_given_up_after_a_week(lab: Lab, homes: OneFolder) -> None:
    dead = await filled(lab, "dead")
    homes.dead = {dead}
    async with lab.store.writing() as connection:  # the workspace is gone
        await connection.execute(delete(Artifact))
    await lab.garbage.workspace_ended("lab")
    await lab.garbage.find_left_behind()
    await lab.on_disk()
    await lab.garbage.find_left_behind()
    assert await rows(lab, ArtifactHome.id) == [dead] and await rows(lab, ArtifactGarbage.key)
    lab.now += GIVEN_UP_S
    await lab.garbage.find_left_behind()
    assert not await rows(lab, ArtifactHome.id) and not await rows(lab, ArtifactGarbage.key)


async def test_a_folder_at_a_former_home_goes(lab: Lab, homes: OneFolder) -> None:
    await lab.filled("moved", a_txt="a")
    moved, home = await lab.parts.access.find("moved", lab.owner), await filled(lab, "stays")
    await homes.store.put(f"lab/artifacts/@{home}/{moved.id}/v0/late.txt", b"")
    await lab.garbage.find_left_behind()
    assert any(moved.id in key for key in await lab.on_disk())
    assert await at(homes) == [home] and await lab.content("stays", "a.txt") == "stays"


async def test_few_homes_stay_open_and_a_new_key_is_used_at_once(store: Store) -> None:
    pytest.importorskip("obstore")
    seal = Seal("secret")
    async with serving(FakeS3()) as storage:
        places = Places((storage.url,), BUCKET)
        homes = ArtifactHomes(store, seal, places, AsGuest(BUCKET), lambda: 0.0)
        place = places.of({**SECRETS, "S3_ENDPOINT_URL": storage.url})
        assert place is not None
        storage.body = b"<ListBucketResult></ListBucketResult>"
        async with store.writing() as connection:
            for number in range(MAX_OPEN_HOMES + 3):
                row = {
                    "id": f"h{number}", "workspace": "lab", "artifact": "x",
                    "sealed": seal.close(place.encoded(), f"home h{number}"),
                }  # fmt: skip
                await connection.execute(insert(ArtifactHome).values(**row))
        try:
            async with homes.opened("lab", "h0") as first:
                for number in range(1, MAX_OPEN_HOMES + 3):
                    async with homes.opened("lab", f"h{number}"):
                        pass
                assert len(homes) == MAX_OPEN_HOMES + 1
                homes.forget("h0")
                async with homes.opened("lab", "h0") as again:
                    assert again.store is not first.store
            for workspace, home in (("other", "h9"), ("lab", "none")):
                homes.forget(home)
                with pytest.raises(HomeUnavailable):
                    async with homes.opened(workspace, home):
                        pass
        finally:
            await homes.close()


async def test_a_home_that_does_not_open_is_not_asked_again_at_once(store: Store) -> None:
    pytest.importorskip("obstore")
    now, seal = [0.0], Seal("secret")
    async with serving(FakeS3()) as storage:
        places = Places((storage.url,), BUCKET)
        place = places.of({**SECRETS, "S3_ENDPOINT_URL": storage.url})
        assert place is not None
        row = {
            "id": "h",
            "workspace": "lab",
            "artifact": "x",
            "sealed": seal.close(place.encoded(), "home h"),
        }
        async with store.writing() as connection:
            await connection.execute(insert(ArtifactHome).values(**row))
        homes = ArtifactHomes(store, seal, places, AsGuest(BUCKET), lambda: now[0])
        storage.status = 403
        for at_s, asked in ((0.0, 1), (5.0, 1), (11.0, 2)):
            now[0] = at_s
            with pytest.raises(HomeUnavailable, match="secrets of this artifact name"):
                async with homes.opened("lab", "h"):
                    pass
            assert len(storage.seen) == asked
        closed = ArtifactHomes(store, seal, Places(), AsGuest(BUCKET))
        with pytest.raises(HomeUnavailable, match="--artifact-s3-endpoints"):
            async with closed.opened("lab", "h"):
                pass


async def test_an_artifact_moves_while_it_has_no_files(lab: Lab, homes: OneFolder) -> None:
    async def home() -> str | None:
        return (await lab.parts.access.find("data", lab.owner)).home

    async def set_secret(name: str, value: str | None) -> None:
        await lab.manager.set_secret("data", name, value, context=lab.owner)

    await lab.create("data", stage=True)
    await lab.manager.set_secret("data", "TOKEN", "x", context=lab.owner)
    with pytest.raises(InvalidRequest, match="S3_ENDPOINT_URL"):
        for name in ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"):
            await set_secret(name, SECRETS[name])
    assert await home() is None
    before = (await lab.parts.access.find("data", lab.owner)).round
    await set_secret("S3_ENDPOINT_URL", SECRETS["S3_ENDPOINT_URL"])
    await set_secret("S3_SECRET_ACCESS_KEY", "hidden")
    first = await home()
    assert first is not None and (await lab.parts.access.find("data", lab.owner)).round != before
    await set_secret("S3_SECRET_ACCESS_KEY", "newer")
    assert await home() == first
    await set_secret("S3_PREFIX", "deep")
    second = await home()
    assert second not in (None, first)
    await lab.upload("data", a_txt="a")
    for name, value in (("S3_PREFIX", "else"), ("S3_SECRET_ACCESS_KEY", None)):
        with pytest.raises(Conflict, match="stay"):
            await set_secret(name, value)
    with pytest.raises(Conflict):
        await lab.manager.edit("data", secrets={"S3_PREFIX": "else"}, context=lab.owner)
    await lab.manager.edit("data", secrets={**SECRETS, "S3_PREFIX": "deep"}, context=lab.owner)
    assert await at(homes) == [second] and await lab.content("data", "a.txt") == "a"
    sealed = await lab.manager.get_secret("data", context=lab.owner)
    assert sealed == {**SECRETS, "S3_PREFIX": "deep"}


async def test_a_child_shares_the_home_and_not_the_secrets_of_its_parent(lab: Lab, homes: OneFolder) -> None:
    await lab.create("all", type="collection", secrets=SECRETS)
    parent = await lab.parts.access.find("all", lab.owner)
    await lab.create("child", parent_id="all", secrets={"S3_BUCKET": "of-somebody", "S3_PREFIX": "x"})
    await lab.create("own", parent_id="all", secrets={**SECRETS, "S3_BUCKET": "own-bucket"})
    child, own = [await lab.parts.access.find(each, lab.owner) for each in ("child", "own")]
    assert child.home == parent.home and own.home not in (None, parent.home)
    with pytest.raises(Conflict):
        await lab.manager.set_secret("all", "S3_BUCKET", "another", context=lab.owner)
    await lab.manager.set_secret("own", "S3_ACCESS_KEY_ID", None, context=lab.owner)
    assert (await lab.parts.access.find("own", lab.owner)).home == parent.home
