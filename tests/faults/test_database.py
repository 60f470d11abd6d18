"""Promise: a database in trouble gives typed errors, no lies, and recovery without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.testing import RawCallError, RawClient, ServerProcess, eventually
from tests.kit.people import Person, make_person
from tests.kit.postgres import PostgresServer, running_postgres

SECRETS = re.compile(
    r"(?i)traceback|sqlite|postgres|asyncpg|insert |update |select |\.py\b|/(tmp|home|root)/|127\."
)
DROP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
NO_LIMITS = {"HYPHA_HTTP_RATE_LIMIT": "0", "HYPHA_SIGN_IN_ATTEMPTS_PER_ADDRESS": "0"}


class Lab:
    """A server of one's own, somebody with a workspace, and another client with a service there."""

    def __init__(self, server: ServerProcess, person: Person, raw: RawClient, callee: RawClient) -> None:
        self.server = server
        self.person = person
        self.raw = raw
        self.callee = callee
        own = {"authorization": f"Bearer {person.token}"}
        self.http = httpx.AsyncClient(base_url=server.url, timeout=30, headers=own)

    @classmethod
    async def open(cls, server: ServerProcess) -> Lab:
        """Start the server and connect everybody."""
        await asyncio.to_thread(server.start)
        person = make_person(server, "ann")
        raw, callee = [await RawClient.connect(server.ws_url, token=person.token) for _ in range(2)]
        await callee.offer("svc", {"hello": lambda: "hello"})
        lab = cls(server, person, raw, callee)
        for value in ("before", 1):
            await raw.call_manager("set_env", "KEY", value)
        await lab.queue("push", "jobs", "first")
        return lab

    async def queue(self, function: str, *args: Any) -> Any:
        """Call a function of the queue service."""
        service = await self.raw.call_manager("get_service", "public/queue")
        method = service[function]
        return await self.raw.call(method["_rtarget"], method["_rmethod"], *args)

    async def close(self) -> None:
        """Leave."""
        await self.http.aclose()
        await self.raw.close()
        await self.callee.close()

    async def readiness(self) -> int:
        """The status of the readiness page."""
        async with httpx.AsyncClient(base_url=self.server.url, timeout=5) as http:
            answer = await http.get("/health/readiness")
        assert not SECRETS.search(answer.text), answer.text
        return answer.status_code

    async def is_ready(self) -> bool:
        """Whether requests may be sent here."""
        return await self.readiness() == 200

    async def is_not_ready(self) -> bool:
        """Whether the server says that it cannot serve."""
        return await self.readiness() == 503

    def writes(self) -> dict[str, Any]:
        """Address and arguments of everything that a user can make last."""
        own = f"/{self.person.workspace}/services/ws"
        return {
            f"{own}/set_env": ["KEY", "after"],
            f"{own}/generate_token": [{"permission": "read"}],
            f"{own}/create_workspace": [{"id": "after-all", "persistent": True}],
            f"{own}/bookmark": [{"bookmark_type": "workspace", "id": self.person.workspace}],
            f"{own}/log_event": ["after"],
            f"{own}/register_service_type": [{"id": "after", "name": "after", "definition": {}}],
            "/public/services/queue/push": ["jobs", "after"],
            "/public/services/queue/pop": ["jobs", 0],
            "/public/services/hypha-login/start": {},
            "/public/services/hypha-login/signup": {
                "name": "Bob", "email": "bob@example.org", "password": "correct horse",
            },
        }  # fmt: skip

    async def check_refused(self) -> None:
        """Everything that would write is refused with a typed error over HTTP and RPC."""

        async def over_http(path: str, args: Any) -> None:
            answer = await self.http.post(path, json=args)
            assert (answer.status_code, answer.json()["code"]) == (503, "backend_unavailable"), answer.text
            assert not SECRETS.search(answer.text), answer.text

        async def over_rpc(function: str, args: Any) -> None:
            with pytest.raises(RawCallError, match=r"^BackendUnavailable: ") as caught:
                await self.raw.call_manager(function, *args, timeout_s=30)
            assert not SECRETS.search(f"{caught.value} {caught.value.trace}")

        calls = [over_http(path, args) for path, args in self.writes().items()]
        names = [(path.rpartition("/")[2], args) for path, args in self.writes().items() if "/ws/" in path]
        await asyncio.gather(*calls, *(over_rpc(name, args) for name, args in names))

    async def check_reads(self) -> None:
        """What needs no write goes on."""
        workspace = self.person.workspace
        assert await self.raw.call(self.callee.address, "services.svc.hello") == "hello"
        assert await self.raw.call_manager("get_env", "KEY") == 1
        assert await self.queue("get_length", "jobs") == 1
        assert await self.queue("peek", "jobs") == ["first"]
        assert (await self.http.get(f"/{workspace}/services/svc/hello")).json() == "hello"
        assert (await self.http.get(f"/{workspace}/services/ws/get_env?key=KEY")).json() == 1
        assert (await self.http.get(f"/{workspace}/info")).status_code == 200
        newcomer = await RawClient.connect(self.server.ws_url, token=self.person.token)
        assert await newcomer.call(self.callee.address, "services.svc.hello") == "hello"
        await newcomer.close()

    async def check_nothing_happened(self) -> None:
        """What was refused left nothing behind, and everything works again."""
        await self.check_reads()
        assert await self.raw.call_manager("list_workspaces", {"id": "after-all"}) == []
        assert await self.raw.call_manager("get_events", "after") == []
        own = f"/{self.person.workspace}/services/ws"
        for path, args in self.writes().items():
            answer = await self.http.post(path, json=args)
            assert answer.status_code == 200, (path, answer.text)
        assert (await self.http.get(f"{own}/get_env?key=KEY")).json() == "after"


@contextlib.asynccontextmanager
async def _lab_on(server: ServerProcess) -> AsyncIterator[Lab]:
    try:
        opened = await Lab.open(server)
        yield opened
        await opened.close()
    finally:
        await asyncio.to_thread(server.close)


@pytest_asyncio.fixture(loop_scope="session")
async def lab() -> AsyncIterator[Lab]:
    """A lab on a SQLite database in a folder of its own."""
    async with _lab_on(ServerProcess(env=NO_LIMITS)) as opened:
        yield opened


@pytest.mark.timeout(90)
async def test_a_locked_database_stops_writes_only(lab: Lab) -> None:
    other = sqlite3.connect(lab.server.data_dir / "hypha.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert await lab.is_ready()
    began = asyncio.get_running_loop().time()
    await lab.check_refused()
    assert asyncio.get_running_loop().time() - began < 20, "they don't wait one after another"
    assert await lab.is_not_ready()
    await lab.check_reads()
    assert await lab.is_not_ready()
    other.execute("ROLLBACK")
    other.close()
    await eventually(lab.is_ready, within_s=10)
    await lab.check_nothing_happened()


@pytest.mark.timeout(90)
async def test_a_locked_database_is_noticed_without_traffic(lab: Lab) -> None:
    other = sqlite3.connect(lab.server.data_dir / "hypha.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await eventually(lab.is_not_ready, within_s=20, interval_s=0.2)
    other.close()
    await eventually(lab.is_ready, within_s=10)


@pytest.mark.timeout(90)
async def test_files_that_cannot_be_written_stop_writes_only(lab: Lab) -> None:
    before = resource.prlimit(lab.server.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    await lab.check_refused()
    await eventually(lab.is_not_ready)
    await lab.check_reads()
    assert await lab.is_not_ready()
    resource.prlimit(lab.server.pid, resource.RLIMIT_FSIZE, before)
    await eventually(lab.is_ready, within_s=10)
    await lab.check_nothing_happened()
    await asyncio.to_thread(lab.server.restart, kill=True)
    answer = await lab.http.get(f"/{lab.person.workspace}/services/ws/get_env?key=KEY")
    assert answer.json() == "after"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB; skips where one may not be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        not shutil.which("mount")
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip("mounting a file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.timeout(120)
async def test_a_full_disk_refuses_loses_nothing_and_works_again(disk: Path) -> None:
    server = ServerProcess(data_dir=disk / "data", env=NO_LIMITS)
    try:
        lab = await Lab.open(server)
        junk = disk / "junk"
        with contextlib.suppress(OSError), junk.open("wb") as file:
            while True:
                file.write(b"x" * 4096)
                file.flush()
        kept, refused = {}, 0
        for number in range(2000):
            value = f"value {number}"
            try:
                await lab.raw.call_manager("set_env", f"K{number}", value)
                kept[f"K{number}"], refused = value, 0
            except RawCallError as error:
                assert str(error).startswith("BackendUnavailable: The disk of the database is full: ")
                refused += 1
            if refused == 5:
                break
        assert refused == 5
        await eventually(lab.is_not_ready)
        await lab.check_reads()
        junk.unlink()
        await eventually(lab.is_ready, within_s=10)
        env = await lab.raw.call_manager("get_env")
        assert {key: value for key, value in env.items() if key != "KEY"} == kept
        await lab.check_nothing_happened()
        await lab.close()
        await asyncio.to_thread(server.stop)
        with contextlib.closing(sqlite3.connect(disk / "data" / "hypha.sqlite")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        await asyncio.to_thread(server.close)


async def test_a_server_whose_folder_is_read_only_says_so_in_a_sentence(disk: Path) -> None:
    server = ServerProcess(data_dir=disk / "data")
    try:
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(disk)], check=True)
        server.launch()
        assert await asyncio.to_thread(server.wait_exit) != 0
        last = server.log.splitlines()[-1]
        assert last.startswith("hypha: ") and "ead-only" in last, server.log[-2000:]
        assert "Traceback" not in server.log
    finally:
        await asyncio.to_thread(server.close)


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server to kill and freeze."""
    yield from running_postgres()


@pytest_asyncio.fixture(loop_scope="session")
async def lab_on_postgres(postgres: PostgresServer) -> AsyncIterator[Lab]:
    """A lab on PostgreSQL."""
    server = ServerProcess(flags=[f"--database-uri={postgres.new_database()}"], env=NO_LIMITS)
    async with _lab_on(server) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_a_postgresql_that_is_gone_is_told_and_used_again(
    lab_on_postgres: Lab, postgres: PostgresServer, how: str
) -> None:
    lab = lab_on_postgres
    if how == "kill":
        postgres.kill()
    else:
        postgres.freeze()
    began = asyncio.get_running_loop().time()
    await lab.check_refused()
    assert asyncio.get_running_loop().time() - began < 45
    await eventually(lab.is_not_ready)
    assert await lab.raw.call(lab.callee.address, "services.svc.hello") == "hello", "calls need no database"
    if how == "kill":
        await asyncio.to_thread(postgres.start)
    else:
        postgres.thaw()
    await eventually(lab.is_ready, within_s=30)
    await lab.check_nothing_happened()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(120)
async def test_a_read_only_postgresql_stops_writes_only(
    lab_on_postgres: Lab, postgres: PostgresServer
) -> None:
    lab = lab_on_postgres

    async def make_read_only(word: str) -> None:
        setting = f"SET default_transaction_read_only = {word}"
        for name in postgres.databases:
            await asyncio.to_thread(postgres.execute, f"ALTER DATABASE {name} {setting}")
            await asyncio.to_thread(postgres.execute, f"{DROP} AND datname = '{name}'")

    async def is_read() -> bool:
        return bool(await lab.raw.call_manager("get_env", "KEY") == 1)

    await make_read_only("on")
    await eventually(is_read, within_s=20)
    await lab.check_refused()
    await eventually(lab.is_not_ready)
    await lab.check_reads()
    await make_read_only("off")
    await eventually(lab.is_ready, within_s=30)
    await lab.check_nothing_happened()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(180)
async def test_a_second_server_on_one_postgresql_is_refused_also_while_the_first_is_frozen(
    lab_on_postgres: Lab, postgres: PostgresServer
) -> None:
    lab = lab_on_postgres
    for is_frozen in (False, True):
        second = ServerProcess(flags=lab.server.flags)
        if is_frozen:
            lab.server.freeze()
        try:
            await asyncio.to_thread(second.launch)
            assert await asyncio.to_thread(second.wait_exit, 40) != 0
            assert "is in use: another server is already running with it" in second.log
            assert len(second.log.strip().splitlines()) == 1
        finally:
            lab.server.thaw()
            await asyncio.to_thread(second.close)
    await eventually(lab.is_ready)
    await lab.check_nothing_happened()
