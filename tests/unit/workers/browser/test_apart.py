"""The process in which pages of a server are driven, with a worker that drives nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hypha.errors import PermissionDenied
from hypha.workers.base import SessionNotFoundError, WorkerError
from hypha.workers.browser.apart import ENDED, PagesProcess, variables_of
from hypha.workers.browser.pipe import MOST_ANSWER_BYTES, MOST_ANSWER_VALUES, check_answer

WORKER = """
import os
from hypha.errors import PermissionDenied
from hypha.workers.base import SessionNotFoundError
from hypha.workers.browser import driving

class Worker:
    def __init__(self, environment):
        self.environment = environment

    def belongs_to(self, workspace):
        self.workspace = workspace

    async def start(self, config, context=None):
        for number in (1, 2):
            await config["progress_callback"]({"message": str(number)})
        return f"{self.workspace} {config['id']}"

    async def execute(self, session_id, script, config, context=None):
        return eval(script)

    async def stop(self, session_id, context=None):
        raise SessionNotFoundError(f"no {session_id}")

    async def get_logs(self, *args, context=None):
        raise PermissionDenied(f"not for {context['from']}")

    async def close(self):
        pass

driving.BrowserWorker = Worker
driving.main()
"""


@pytest.fixture
async def pages() -> AsyncIterator[PagesProcess]:
    made = PagesProcess([sys.executable, "-c", WORKER], dict(os.environ))
    yield made
    await made.close()


async def execute(pages: PagesProcess, script: str) -> Any:
    return await pages.call("execute", ["s", script, {}], None, None)


async def test_calls_are_answered_steps_are_told_and_errors_stay_what_they_are(pages: PagesProcess) -> None:
    told: list[Any] = []
    started = await pages.call("start", ["public", {"id": "s"}], {"from": "*/server"}, told.append)
    assert started == "public s"
    assert told == [{"message": "1"}, {"message": "2"}]
    assert await execute(pages, "[1, 'two', None, {'three': b'3'}, float('inf'), '\\ud800']") == [
        1, "two", None, {"three": b"3"}, float("inf"), "\ud800",
    ]  # fmt: skip
    with pytest.raises(SessionNotFoundError, match="no s"):
        await pages.call("stop", ["s"], None, None)
    with pytest.raises(PermissionDenied, match="not for ws-1/a"):
        await pages.call("get_logs", ["s"], {"from": "ws-1/a"}, None)
    with pytest.raises(WorkerError, match="division by zero"):
        await execute(pages, "1 / 0")
    with pytest.raises(WorkerError, match="There is no close"):
        await pages.call("close", [], None, None)


@pytest.mark.parametrize(
    "script", ["'x' * 2**25", "[0] * 10**6", "{n: n for n in range(10**5)}", "[[0] * 999] * 999"]
)
async def test_what_a_page_answers_is_bounded_where_it_comes_from(pages: PagesProcess, script: str) -> None:
    with pytest.raises(WorkerError, match="The answer is too large"):
        await execute(pages, script)
    assert await execute(pages, "1") == 1


def test_as_much_as_may_be_answered_is() -> None:
    check_answer("x" * MOST_ANSWER_BYTES)
    check_answer([0] * (MOST_ANSWER_VALUES - 1))
    for value in (["x" * MOST_ANSWER_BYTES, "x"], [0] * MOST_ANSWER_VALUES, [b"x" * 2**20] * 17):
        with pytest.raises(WorkerError, match="too large"):
            check_answer(value)


async def test_values_that_are_none_are_told(pages: PagesProcess) -> None:
    for script in ("{1, 2}", "10 ** 30", "object()"):
        with pytest.raises(WorkerError, match="cannot be sent"):
            await execute(pages, script)


async def test_a_process_that_dies_fails_its_calls_and_the_next_one_has_another(pages: PagesProcess) -> None:
    first = await execute(pages, "os.getpid()")
    with pytest.raises(WorkerError, match=ENDED):
        await execute(pages, "os._exit(3)")
    assert await execute(pages, "os.getpid()") != first
    assert pages.is_running
    await pages.close()
    assert not pages.is_running


def test_the_process_finds_no_secrets_of_the_server_in_its_variables() -> None:
    kept = {
        "PATH": "p",
        "HYPHA_CHROMIUM_PATH": "c",
        "HYPHA_BROWSER_PRIVATE_HOSTS": "h",
        "PLAYWRIGHT_LOCALE": "l",
    }
    secret = {"HYPHA_JWT_SECRET": "s", "HYPHA_ROOT_TOKEN": "t", "HYPHA_S3_SECRET_ACCESS_KEY": "k"}
    secret |= {"JWT_SECRET": "s", "RESEND_API_KEY": "r", "AWS_SECRET_ACCESS_KEY": "a", "PATH_TO_KEY": "c"}
    assert variables_of({**kept, **secret}) == kept
