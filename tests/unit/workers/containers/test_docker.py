"""Apps as containers: what an engine is asked for, with an engine that is a fake."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hypha.errors import InvalidArguments, PermissionDenied
from hypha.testing import eventually
from hypha.workers.base import SessionStatus, WorkerError, WorkerNotAvailableError
from hypha.workers.docker.engine import ContainerLimits
from hypha.workers.docker.worker import DockerWorker, hypha_startup
from hypha.workers.options import Connection
from tests.kit.fake_docker import FakeDocker
from tests.kit.fake_engines import ELSEWHERE, HERE, ID, READER, served

STAYS = ["sh", "-c", "echo hello $HYPHA_APP_ID $GREETING; echo wrong >&2; exec sleep 600"]


@pytest.fixture
async def place() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="h") as name:  # short, for the socket
        yield Path(name)


@pytest.fixture
async def engine(place: Path) -> AsyncIterator[FakeDocker]:
    engine = FakeDocker()
    async with served(engine.app(), place / "docker.sock"):
        yield engine
        await engine.end()


@pytest.fixture
async def worker(engine: FakeDocker, place: Path) -> AsyncIterator[DockerWorker]:
    made = await made_worker(place)
    yield made
    await made.shutdown()


async def made_worker(place: Path, connection: Connection | None = None, **more: Any) -> DockerWorker:
    host = f"unix://{place / 'docker.sock'}"
    made = DockerWorker(connection, host, root=place / "state", variables={}, **more)
    await made._engine.prepare()
    return made


def config_of(command: list[str] | None = STAYS, number: int = 1, **fields: Any) -> dict[str, Any]:
    manifest = {"type": "docker-container", "image": "there:1", "command": command, **fields}
    return {
        "id": f"w/_rapp_{number}__rlb", "app_id": "app", "workspace": "w",
        "client_id": f"_rapp_{number}__rlb",
        "server_url": "https://hypha.example", "token": "token-of-the-session", "artifact_id": "w/app",
        "manifest": {name: value for name, value in manifest.items() if value is not None},
    }  # fmt: skip


async def logged(worker: DockerWorker, kind: str, last: str) -> str:
    """Of its log what is of a kind, as soon as that ends with what it has to end with."""
    async with asyncio.timeout(20):
        while True:
            page = await worker.get_logs(ID, kind)
            text = "".join(item["content"] for item in page["items"])
            if text.endswith(last):
                return text
            await asyncio.sleep(0.02)


async def test_a_container_gets_no_rights_and_has_limits(place: Path, engine: FakeDocker) -> None:
    limits = ContainerLimits(memory_mb=512, cpus=0.5, processes=64, scratch_mb=16)
    worker = await made_worker(place, limits=limits)
    await worker.start(config_of())
    (container,) = engine.containers.values()
    host = container.wished["HostConfig"]
    assert (host["Privileged"], host["CapDrop"], host["ReadonlyRootfs"]) == (False, ["ALL"], True)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (512 << 20, 512 << 20, 64)
    assert (host["NanoCpus"], host["NetworkMode"]) == (500_000_000, "bridge")
    assert container.wished["User"] == "1000:1000" and all(
        "size=16777216" in each for each in host["Tmpfs"].values()
    )
    assert not {"Binds", "Mounts", "Devices", "CapAdd", "PortBindings"} & host.keys()
    await worker.shutdown()
    assert engine.containers == {}


async def test_it_runs_its_command_with_who_it_is_and_its_log_is_read(
    worker: DockerWorker, engine: FakeDocker
) -> None:
    await worker.start(config_of(env={"GREETING": "you", "HYPHA_TOKEN": "own"}))
    assert worker._sessions[ID].status is SessionStatus.RUNNING
    (name,) = engine.containers
    variables = dict(each.split("=", 1) for each in engine.containers[name].wished["Env"])
    assert variables["HYPHA_CLIENT_ID"] == "_rapp_1__rlb" and variables["HYPHA_TOKEN"] == "own"
    assert variables["HYPHA_SERVER_URL"] == "https://hypha.example" and "PATH" not in variables
    labels = engine.containers[name].wished["Labels"]
    assert (labels["hypha.workspace"], labels["hypha.session"]) == ("w", ID)
    assert name.startswith("hypha-container-w-rapp-1-rlb-") and len(name) <= 66
    assert await logged(worker, "stdout", "\n") == "hello app you\n"
    assert await logged(worker, "stderr", "\n") == "wrong\n"
    await worker.stop(ID)
    assert engine.containers == {} and ID not in worker._sessions


async def test_scripts_run_beside_with_their_streams_and_their_end(worker: DockerWorker) -> None:
    await worker.start(config_of(env={"A": "1"}))
    told: list[Any] = []
    answer = await worker.execute(ID, "echo $A; echo no >&2; exit 3", {}, told.append, HERE)
    assert answer["status"] == "error" and "code 3" in answer["error"]["evalue"]
    texts = {each["name"]: each["text"] for each in answer["outputs"]}
    assert texts == {"stdout": "1\n", "stderr": "no\n"} and len(told) == 2
    assert (await worker.execute(ID, "true", context=HERE))["status"] == "ok"
    slow = await worker.execute(ID, "sleep 600", {"timeout": 0.3}, context=HERE)
    assert slow["error"]["ename"] == "TimeoutError"


async def test_more_output_than_is_kept_is_cut(worker: DockerWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypha.workers.containers.outputs.EXECUTED_BYTES", 1000)
    monkeypatch.setattr("hypha.workers.containers.outputs.TAIL_BYTES", 1000)
    await worker.start(config_of(["sh", "-c", "yes | head -c 300000; echo end; exec sleep 600"]))
    answer = await worker.execute(ID, "yes | head -c 300000", context=HERE)
    assert len(answer["outputs"][0]["text"]) == 1000 and "are the most" in answer["outputs"][1]["text"]
    assert len(await logged(worker, "stdout", "y\nend\n")) == 1000


@pytest.mark.usefixtures("long")
async def test_one_that_ends_badly_at_once_fails_the_start_with_its_last_lines(worker: DockerWorker) -> None:
    with pytest.raises(WorkerError, match=r"code 4[\s\S]*no such file"):
        await worker.start(config_of(["sh", "-c", "echo no such file >&2; exit 4"]))
    assert worker._sessions[ID].status is SessionStatus.FAILED


@pytest.mark.usefixtures("long")
async def test_one_that_ends_well_is_complete(worker: DockerWorker) -> None:
    await worker.start(config_of(["true"]))
    assert worker._sessions[ID].status is SessionStatus.COMPLETED


async def test_one_that_ends_later_is_told(worker: DockerWorker, engine: FakeDocker) -> None:
    await worker.start(config_of())
    (container,) = engine.containers.values()
    assert container.process is not None
    container.process.kill()
    await eventually(lambda: worker._sessions[ID].status is SessionStatus.FAILED)
    assert "more memory" in str(worker._sessions[ID].error)
    with pytest.raises(WorkerError, match="no container that runs"):
        await worker.execute(ID, "true", context=HERE)


async def test_when_its_time_is_over_it_is_killed(worker: DockerWorker, engine: FakeDocker) -> None:
    await worker.start(config_of(timeout=1))
    await eventually(lambda: worker._sessions[ID].status is SessionStatus.FAILED)
    assert "as long as it may" in str(worker._sessions[ID].error)
    (container,) = engine.containers.values()
    await asyncio.wait_for(container.over.wait(), 10)


async def test_an_image_is_fetched_where_it_is_not_there(worker: DockerWorker, engine: FakeDocker) -> None:
    await worker.start(config_of(image="far/away:2"))
    await worker.start(config_of(number=2, image="far/away:2"))
    assert engine.asked.count(("PULL", "far/away:2")) == 1
    for number, image, pull, words in (
        (3, "none:1", "IfNotPresent", "none:1 cannot be fetched: manifest unknown"),
        (4, "none:1", "Never", "none:1 is not there"),
    ):
        with pytest.raises(WorkerError, match=words):
            await worker.start(config_of(number=number, image=image, image_pull_policy=pull))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image": None}, "image is missing"),
        ({"image": "python"}, "a name with a tag"),
        ({"image": "a:1 --privileged"}, "a name with a tag"),
        ({"command": "ls"}, "command is a list"),
        ({"command": [1]}, "command is a list"),
        ({"env": ["A=1"]}, "env is an object"),
        ({"env": {"A=B": "1"}}, "a name that cannot be"),
        ({"env": {"A": {}}}, "The value of A"),
        ({"timeout": 0}, "timeout is how long"),
        ({"restart_policy": "Always"}, "restart_policy is one of Never"),
        ({"image_pull_policy": "Sometimes"}, "image_pull_policy is one of"),
    ],
)
async def test_a_manifest_that_says_what_cannot_be_is_refused(
    worker: DockerWorker, engine: FakeDocker, fields: dict[str, Any], words: str
) -> None:
    config = config_of(**fields)
    with pytest.raises(InvalidArguments, match=words):
        await worker.compile(config["manifest"], [])
    with pytest.raises(InvalidArguments, match=words):
        await worker.start(config)
    assert engine.containers == {}


async def test_no_manifest_takes_settings_of_the_engine_with_it(
    worker: DockerWorker, engine: FakeDocker
) -> None:
    await worker.start(
        config_of(HostConfig={"Privileged": True}, Binds=["/:/host"], User="0", network="host")
    )
    (container,) = engine.containers.values()
    assert container.wished["User"] == "1000:1000" and container.wished["HostConfig"]["Privileged"] is False
    assert "/:/host" not in str(container.wished)


async def test_other_workspaces_and_who_may_only_read_do_nothing(
    worker: DockerWorker, engine: FakeDocker, place: Path
) -> None:
    for context in (ELSEWHERE, READER):
        with pytest.raises(PermissionDenied):
            await worker.start(config_of(), context)
    assert engine.containers == {}
    await worker.start(config_of(), HERE)
    for context in (ELSEWHERE, READER):
        with pytest.raises(PermissionDenied):
            await worker.execute(ID, "true", context=context)
    with pytest.raises(PermissionDenied):
        await worker.get_logs(ID, context=ELSEWHERE)
    with pytest.raises(PermissionDenied):
        await worker.stop(ID, ELSEWHERE)
    only = await made_worker(place, Connection(authorized_workspaces=("other",)))
    with pytest.raises(PermissionDenied, match="no apps of the workspace w"):
        await only.start(config_of(number=2))
    await only.shutdown()


async def test_one_session_too_many_is_refused(place: Path, engine: FakeDocker) -> None:
    worker = await made_worker(place, most_sessions=1)
    await worker.start(config_of())
    with pytest.raises(WorkerError, match="1 sessions already"):
        await worker.start(config_of(number=2))
    await worker.shutdown()


async def test_one_that_is_stopped_while_it_is_made_leaves_nothing(
    worker: DockerWorker, engine: FakeDocker
) -> None:
    engine.creating.clear()
    starting = asyncio.create_task(worker.start(config_of()))
    await eventually(lambda: ID in worker._running)
    stopping = asyncio.create_task(worker.stop(ID))
    await asyncio.wait([stopping], timeout=0.2)
    engine.creating.set()
    await stopping
    with pytest.raises(WorkerError, match="stopped while it started"):
        await starting
    assert engine.containers == {}


KILLED = """
import asyncio, json, sys
from pathlib import Path
from hypha.workers.docker.worker import DockerWorker

async def main():
    worker = DockerWorker(None, "unix://" + sys.argv[1], root=Path(sys.argv[2]), variables={})
    await worker._engine.prepare()
    await worker.start(json.loads(sys.argv[3]))
    print("started", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_what_a_killed_worker_has_left_is_removed_by_the_next(place: Path, engine: FakeDocker) -> None:
    import json

    words = [str(place / "docker.sock"), str(place / "state"), json.dumps(config_of())]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, *words, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"started\n"
    living = await made_worker(place)
    assert len(engine.containers) == 1  # its worker lives
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    await living.start(config_of(number=2))
    again = await made_worker(place)
    assert [each.wished["Labels"]["hypha.session"] for each in engine.containers.values()] == [
        "w/_rapp_2__rlb"
    ]
    (container,) = engine.containers.values()
    container.wished["Labels"]["hypha.ends-at"] = str(time.time() - 100)
    await again._engine.sweep()
    assert engine.containers == {}
    for each in (living, again):
        await each.shutdown()


async def test_a_server_without_an_engine_starts_with_one_warning(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place / 'none.sock'}")
    monkeypatch.setenv("HYPHA_DOCKER_STATE_DIR", str(place / "state"))
    await hypha_startup(None)  # which would fail if it registered something
    (told,) = [each.getMessage() for each in caplog.records]
    assert told.startswith("No apps in containers: The container engine does not answer")


async def test_without_an_engine_it_is_told_in_words(place: Path) -> None:
    with pytest.raises(WorkerNotAvailableError, match="does not answer"):
        await made_worker(place)
    with pytest.raises(WorkerNotAvailableError, match="DOCKER_HOST is"):
        DockerWorker(None, "ssh://host", variables={})
