"""The base of workers: sessions, their states, who may use them, logs of any shape."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from hypha.errors import PermissionDenied
from hypha.workers.base import (
    BaseWorker,
    SessionInfo,
    SessionNotFoundError,
    SessionStatus,
    WorkerConfig,
    WorkerError,
    WorkerNotAvailableError,
    safe_call_callback,
)

CONFIG = {
    "id": "w/app-1",
    "app_id": "app",
    "workspace": "w",
    "client_id": "app-1",
    "server_url": "http://127.0.0.1:1",
    "artifact_id": "w/app",
    "manifest": {"type": "task", "name": "App"},
    "timeout": 60,
    "token": "t",
}
OPTIONAL = ("playwright", "mcp", "jupyter_client", "kubernetes", "kubernetes_asyncio", "aiodocker", "pyte")
CORE_ONLY = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {(*OPTIONAL, "pytest", "httpx", "hypha_rpc")!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import hypha.workers.base
print([name for name in sys.modules if name.startswith("hypha.") and name.split(".")[1] not in
       ("workers", "errors")])
"""


class Tasks(BaseWorker):
    """A worker as in the guide, whose hooks may be told to fail or to wait."""

    supported_types = ("task",)
    name = "Tasks"
    description = "Runs tasks"

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Exception | None = None
        self.stopped: list[str] = []
        self.logs: Any = {"log": ["one", "two"], "error": ["bad"]}

    async def _start_session(self, config: WorkerConfig) -> dict[str, Any]:
        await self.gate.wait()
        if self.fault:
            raise self.fault
        return {"url": f"{config.public_base_url}/{config.app_id}"}

    async def _stop_session(self, session_id: str) -> None:
        self.stopped.append(session_id)

    async def _get_session_logs(
        self, session_id: str, log_type: str | None = None, offset: int = 0, limit: int | None = None
    ) -> Any:
        return self.logs


@pytest.fixture
async def worker() -> Tasks:
    return Tasks()


@pytest.mark.spec("apps-12.3.7")
def test_the_base_needs_only_what_the_server_needs() -> None:
    done = subprocess.run([sys.executable, "-c", CORE_ONLY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


async def test_a_session_is_kept_from_start_to_stop(worker: Tasks) -> None:
    assert await worker.start(CONFIG) == "w/app-1"
    info = worker._sessions["w/app-1"]
    assert (info.status, info.app_type, info.workspace) == (SessionStatus.RUNNING, "task", "w")
    assert json.loads(info.model_dump_json())["status"] == "running"
    assert worker._session_data["w/app-1"] == {"url": "http://127.0.0.1:1/app"}
    with pytest.raises(WorkerError, match="there already"):
        await worker.start(CONFIG)
    await worker.stop("w/app-1")
    assert (worker._sessions, worker._session_data, worker.stopped) == ({}, {}, ["w/app-1"])
    await worker.stop("w/app-1")
    assert worker.stopped == ["w/app-1"], "there was nothing left to stop"
    with pytest.raises(SessionNotFoundError, match="w/app-1 not found"):
        await worker.get_logs("w/app-1")


async def test_a_failed_start_keeps_its_logs_until_it_is_stopped(worker: Tasks) -> None:
    worker.fault = RuntimeError("no film")
    with pytest.raises(RuntimeError, match="no film"):
        await worker.start(CONFIG)
    info = worker._sessions["w/app-1"]
    assert (info.status, info.error) == (SessionStatus.FAILED, "no film")
    assert (await worker.get_logs("w/app-1"))["total"] == 3
    await worker.stop("w/app-1")
    assert not worker._sessions and worker.stopped == ["w/app-1"]


async def test_only_so_many_failed_sessions_are_kept(worker: Tasks) -> None:
    worker.fault = RuntimeError("no film")
    for number in range(BaseWorker.FAILED_SESSIONS + 5):
        with pytest.raises(RuntimeError):
            await worker.start({**CONFIG, "id": f"w/{number}"})
    assert len(worker._sessions) == BaseWorker.FAILED_SESSIONS
    assert worker.stopped == [f"w/{number}" for number in range(5)]


async def test_a_session_can_be_stopped_while_it_starts(worker: Tasks) -> None:
    worker.gate.clear()
    start = asyncio.create_task(worker.start(CONFIG))
    await asyncio.sleep(0)
    await worker.stop("w/app-1")
    with pytest.raises(WorkerError, match="was stopped while it started"):
        await start
    assert not worker._sessions and not worker._starting and worker.stopped == ["w/app-1"]


async def test_a_start_that_nobody_waits_for_ends(worker: Tasks) -> None:
    worker.gate.clear()
    start = asyncio.create_task(worker.start(CONFIG))
    await asyncio.sleep(0)
    hook = worker._starting["w/app-1"]
    start.cancel()
    await asyncio.wait([start])
    assert start.cancelled()
    await asyncio.wait([hook])
    assert hook.cancelled()


async def test_only_the_own_workspace_and_the_server_may_use_a_session(worker: Tasks) -> None:
    stranger = {"from": "other/client", "ws": "other"}
    with pytest.raises(PermissionDenied):
        await worker.start(CONFIG, stranger)
    await worker.start(CONFIG, caller("rw"))
    with pytest.raises(PermissionDenied):
        await worker.get_logs("w/app-1", context=stranger)
    with pytest.raises(PermissionDenied):
        await worker.stop("w/app-1", stranger)
    await worker.shutdown(stranger)
    assert list(worker._sessions) == ["w/app-1"]
    assert (await worker.get_logs("w/app-1", context={"from": "*/manager", "ws": "w"}))["total"] == 3
    await worker.shutdown()
    assert not worker._sessions


def caller(level: str, *, is_anonymous: bool = False, workspace: str = "w") -> dict[str, Any]:
    """Who calls from the workspace of the session, with a level there."""
    scope = {"current_workspace": "w", "workspaces": {workspace: level}}
    return {"from": "w/client", "ws": "w", "user": {"scope": scope, "is_anonymous": is_anonymous}}


@pytest.mark.parametrize(
    "context",
    [
        caller("r"),
        caller(""),
        caller("a", is_anonymous=True),
        caller("a", workspace="other"),
        {"from": "w/client", "ws": "w"},
        {"from": "w/client", "ws": "w", "user": {"scope": {"workspaces": ["w"]}}},
    ],
)
async def test_who_may_only_read_has_no_worker_run_what_they_send(
    worker: Tasks, context: dict[str, Any]
) -> None:
    with pytest.raises(PermissionDenied, match="read_write on w"):
        await worker.start(CONFIG, context)
    assert not worker._sessions and not worker._starting


@pytest.mark.parametrize(
    "context",
    [caller("rw"), caller("a"), caller("a", workspace="*"), {**caller("r"), "from": "*/manager"}],
)
async def test_who_may_write_has_worker_run_programs_and_the_server_does_for_readers(
    worker: Tasks, context: dict[str, Any]
) -> None:
    assert await worker.start(CONFIG, context) == "w/app-1"


@pytest.mark.parametrize(
    ("answer", "items"),
    [
        ({"log": ["a", "b"], "error": ["c"]}, [("log", "a"), ("log", "b"), ("error", "c")]),
        (["a", {"type": "info", "content": "b"}], [("log", "a"), ("info", "b")]),
        ({"items": [{"type": "stdout", "content": "a"}], "total": 9}, [("stdout", "a")]),
        ({"screen": "text", "error": None}, [("screen", "text")]),
        ("text", [("log", "text")]),
        (None, []),
    ],
)
async def test_logs_of_any_shape_become_a_page(
    worker: Tasks, answer: object, items: list[tuple[str, str]]
) -> None:
    worker.logs = answer
    await worker.start(CONFIG)
    page = await worker.get_logs("w/app-1")
    assert [(item["type"], item["content"]) for item in page["items"]] == items
    assert (page["total"], page["offset"], page["limit"]) == (len(items), 0, None)


async def test_the_type_is_chosen_before_entries_are_counted(worker: Tasks) -> None:
    await worker.start(CONFIG)
    page = await worker.get_logs("w/app-1", "log", 1, 1)
    assert page == {"items": [{"type": "log", "content": "two"}], "total": 2, "offset": 1, "limit": 1}
    assert (await worker.get_logs("w/app-1", "none"))["total"] == 0
    with pytest.raises(ValueError, match="negative"):
        await worker.get_logs("w/app-1", None, -1)


async def test_what_is_missing_is_told_when_it_is_called() -> None:
    bare = BaseWorker()
    with pytest.raises(NotImplementedError, match="_start_session or start"):
        await bare.start(CONFIG)
    with pytest.raises(NotImplementedError, match="execute"):
        await bare.execute("w/app-1", "1")
    with pytest.raises(NotImplementedError, match="the property name"):
        bare.get_service()
    assert await bare.compile({"a": 1}, []) == ({"a": 1}, [])


def test_the_service_says_what_the_worker_is() -> None:
    class Runs(Tasks):
        use_local_url = True
        authorized_workspaces = ("lab",)

        async def execute(self, *_args: Any, **_kwargs: Any) -> int:
            return 1

    worker = Tasks()
    service = worker.get_service()
    assert service["id"] == worker.service_id == worker.instance_id
    name, _, number = worker.instance_id.partition("-")
    assert (name, number.isdigit()) == ("Tasks", True)
    assert (service["type"], service["supported_types"]) == ("server-app-worker", ["task"])
    assert service["config"] == {
        "visibility": "protected",
        "run_in_executor": False,
        "require_context": False,
    }
    assert "execute" not in service and service["use_local_url"] is False
    other = Runs().get_worker_service()
    assert other["use_local_url"] is True and "execute" in other
    assert other["config"]["authorized_workspaces"] == ["lab"]


def test_a_config_has_what_it_names_and_whatever_else_was_given() -> None:
    config = WorkerConfig(**CONFIG, foo=1)
    assert (config.foo, config.get("foo"), config.get("bar", 2)) == (1, 1, 2)
    assert (config.app_type, config.public_base_url, config.disable_ssl) == ("task", config.server_url, False)
    assert (
        WorkerConfig(**CONFIG, app_type="other", public_base_url="https://a").public_base_url == "https://a"
    )
    assert config.get("model_dump") is None, "its methods are no keys"
    with pytest.raises(ValueError, match="workspace"):
        WorkerConfig(id="a")


def test_states_and_errors_have_their_names() -> None:
    assert [str(each) for each in SessionStatus] == [
        "starting", "running", "completed", "failed", "stopping", "stopped",
    ]  # fmt: skip
    assert issubclass(SessionNotFoundError, WorkerError) and issubclass(WorkerNotAvailableError, WorkerError)
    assert set(SessionInfo.model_fields) >= {"session_id", "status", "created_at", "metadata", "error"}


async def test_callbacks_may_be_missing_plain_or_awaited_and_may_fail() -> None:
    told: list[Any] = []

    async def later(message: Any) -> None:
        told.append(message)

    def broken(_message: Any) -> None:
        raise RuntimeError

    for callback in (None, told.append, later, broken):
        await safe_call_callback(callback, {"type": "info", "message": "m"})
    assert told == [{"type": "info", "message": "m"}] * 2
