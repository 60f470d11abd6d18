"""Environments: who makes them, that they are made once and complete, and how many are kept."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hypha.testing import eventually
from hypha.workers.base import WorkerError, WorkerNotAvailableError
from hypha.workers.children import ProcessLimits
from hypha.workers.conda import backends, environments
from hypha.workers.conda.backends import CondaFamily, Uv, find_backend
from hypha.workers.conda.environments import MOST_ENVIRONMENTS, Environment, Environments
from hypha.workers.conda.locks import FileLock
from hypha.workers.conda.requirements import Requirements, requirements_of
from hypha.workers.folders import WorkerFolder
from tests.kit.conda_stub import CondaStub

LIMITS = ProcessLimits(memory_mb=0)
DAY = 86_400.0


def wanted(*dependencies: Any, **more: Any) -> Requirements:
    return requirements_of({"dependencies": list(dependencies), **more})


class Lab:
    """Environments of the stub, at a time of our own."""

    def __init__(self, place: Path, conda: CondaStub) -> None:
        self.now = 1e9
        self.told: list[str] = []
        self.conda = conda
        self._sessions = WorkerFolder(place / "sessions")
        self.root = place / "cache"
        variables = {"PATH": str(conda.path), "SECRET_OF_THE_WORKER": "s", "UV_INDEX": "https://pypi.example"}
        self.environments = Environments(
            self.root, find_backend(variables), LIMITS, variables, clock=lambda: self.now
        )

    async def _tell(self, text: str) -> None:
        self.told.append(text)

    async def get(self, *dependencies: Any, workspace: str = "w", **more: Any) -> Environment:
        folder = self._sessions.new_session()
        try:
            return await self.environments.provide(
                wanted(*dependencies, **more), workspace, folder, self._tell
            )
        finally:
            folder.remove()

    async def use(self, *dependencies: Any) -> str:
        """Get one and let go of it; its name."""
        found = await self.get(*dependencies)
        found.release()
        return found.prefix.name

    def kept(self) -> set[str]:
        return set(os.listdir(self.root / "environments"))


@pytest.fixture
def lab(place: Path, conda: CondaStub) -> Lab:
    return Lab(place, conda)


def program(folder: Path, name: str) -> None:
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)


def test_the_first_of_the_family_that_is_there_makes_environments_and_uv_where_none_is(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"PATH": str(place)}
    monkeypatch.setattr(backends.sys, "executable", str(place / "elsewhere" / "python"))
    with pytest.raises(WorkerNotAvailableError, match="install mamba, micromamba, conda or uv"):
        find_backend(variables)
    for name in ("uv", "conda", "micromamba", "mamba"):
        program(place, name)
        assert find_backend(variables).name == name
    (place / "elsewhere").mkdir()
    program(place / "elsewhere", "uv")
    assert find_backend({"PATH": "/nowhere"}) == Uv(str(place / "elsewhere" / "uv"))


async def test_conda_gets_packages_of_its_channels_and_pip_the_rest(lab: Lab) -> None:
    found = await lab.get("python=3.11", "numpy", {"pip": ["requests"]}, channels=["bioconda", "conda-forge"])
    (made,), (added,) = lab.conda.calls("create"), lab.conda.calls("install")
    assert made["argv"][1:] == [
        *("create", "--yes", "--quiet", "--prefix", str(found.prefix), "--override-channels"),
        *("--channel", "bioconda", "--channel", "conda-forge"),
        *("python=3.11", "numpy", "pip", "ipykernel", "jupyter_client", "pyzmq"),
    ]
    assert added["argv"][1:] == ["-m", "pip", "install", "--no-input", "--", "requests", "hypha-rpc"]
    assert lab.told == [
        "Installing 6 packages with conda",
        "Installing 2 packages with pip",
        "The environment is ready",
    ]
    variables = found.variables("/usr/bin")
    assert variables == {"PATH": f"{found.prefix}/bin:/usr/bin", "CONDA_PREFIX": str(found.prefix)}


async def test_workspaces_share_neither_environments_nor_what_was_downloaded_for_them(lab: Lab) -> None:
    mine, theirs = await lab.get("numpy"), await lab.get("numpy", workspace="other")
    again = await lab.get("numpy")
    assert mine.prefix == again.prefix != theirs.prefix
    first, second = lab.conda.calls("create")
    for name in ("UV_CACHE_DIR", "PIP_CACHE_DIR", "CONDA_PKGS_DIRS", "MAMBA_ROOT_PREFIX"):
        assert first["env"][name] != second["env"][name]


async def test_builds_find_nothing_of_the_worker_but_where_packages_are(lab: Lab) -> None:
    await lab.get("numpy")
    (made,) = lab.conda.calls("create")
    assert "SECRET_OF_THE_WORKER" not in made["env"]
    assert made["env"]["UV_INDEX"] == "https://pypi.example"
    assert made["env"]["HOME"] != os.environ.get("HOME") and made["cwd"] == []


async def test_uv_takes_interpreters_that_are_here_and_nothing_else(tmp_path: Path) -> None:
    make, install = Uv("/bin/uv").steps(wanted("python=3.11", "numpy=2"), tmp_path)
    flags = ("--no-python-downloads", "--python", "3.11")
    assert make.command == ("/bin/uv", "venv", *flags, str(tmp_path))
    assert install.command[:6] == (
        *("/bin/uv", "pip", "install", "--python"),
        *(str(tmp_path / "bin/python"), "--"),
    )
    assert install.command[6] == "numpy==2.*"
    usual, _ = Uv("/bin/uv").steps(wanted(), tmp_path)
    assert usual.command[4] == sys.executable


def test_what_uv_cannot_find_is_told_with_what_to_do() -> None:
    missing = Uv("/bin/uv").explain(
        "  × No solution found when resolving dependencies:\n"
        "  ╰─▶ Because bwa-mem was not found in the package registry and you require bwa-mem, we\n"
        "      can conclude that your requirements are unsatisfiable.\n"
    )
    assert "PyPI has no package bwa-mem" in str(missing) and "conda must be installed" in str(missing)
    python = Uv("/bin/uv").explain("error: No interpreter found for Python 3.8 in search path or managed\n")
    shim = Uv("/bin/uv").explain(
        "error: Failed to inspect Python interpreter from first executable in the\n path"
    )
    assert "does not run where the worker is" in str(shim)
    assert str(python) == "Python 3.8 is not installed where the worker runs: ask for another version."
    assert Uv("/bin/uv").explain("error: something else") is None
    assert CondaFamily("/bin/conda", "conda").explain("anything") is None


@pytest.mark.spec("apps-12.4.4")
async def test_an_environment_is_made_once_for_all_that_ask_for_it(lab: Lab) -> None:
    found = await asyncio.gather(*(lab.get("numpy", "scipy") for _ in range(3)), lab.get("scipy", "numpy"))
    assert len({each.prefix for each in found}) == 1
    assert len(lab.conda.calls("create")) == 1
    assert lab.told.count("The environment is there already") == 3


async def test_two_workers_with_one_cache_make_it_once(lab: Lab, place: Path) -> None:
    variables = {"PATH": str(lab.conda.path)}
    other = Environments(lab.root, find_backend(variables), LIMITS, variables)

    async def quiet(text: str) -> None:
        """Nobody listens."""

    folder = WorkerFolder(place / "others").new_session()
    await asyncio.gather(lab.get("numpy"), other.provide(wanted("numpy"), "w", folder, quiet))
    assert len(lab.conda.calls("create")) == 1


async def test_a_build_that_fails_leaves_nothing_and_says_why_without_folders(lab: Lab, place: Path) -> None:
    lab.conda.fail()
    with pytest.raises(
        WorkerError, match=r"conda ended with exit code 3:\n(.*\n)*no such package$"
    ) as failed:
        await lab.get("numpy")
    assert "…/calls.jsonl" in str(failed.value) and str(place) not in str(failed.value)
    assert "https://host/a/b" in str(failed.value)
    assert lab.kept() == set()
    lab.conda.fail(False)
    await lab.get("numpy")
    assert len(lab.conda.calls("create")) == 2


async def test_an_incomplete_environment_is_made_anew(lab: Lab) -> None:
    name = await lab.use("numpy")
    prefix = lab.root / "environments" / name
    (prefix / ".hypha-ready").unlink()
    (prefix / "left").touch()
    other = lab.root / "environments" / ("0" * 32)
    other.mkdir()
    assert await lab.use("numpy") == name
    assert not (prefix / "left").exists() and lab.kept() == {name}


async def test_a_build_that_is_cancelled_ends_and_leaves_nothing(lab: Lab) -> None:
    slow = lab.conda.path / "conda"
    slow.write_text("#!/bin/sh\n/bin/mkdir $5\necho $$ > $5/../../pid\n/bin/sleep 600\n")
    building = asyncio.create_task(lab.get("numpy"))
    note = lab.root / "pid"
    pid = int(await eventually(lambda: note.exists() and note.read_text().strip()))
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert not os.path.exists(f"/proc/{pid}") and lab.kept() == set()  # noqa: ASYNC240


async def test_the_least_recently_used_goes_when_there_are_too_many(lab: Lab) -> None:
    names = []
    for number in range(MOST_ENVIRONMENTS):
        lab.now += 1
        names.append(await lab.use(f"package{number}"))
    lab.now += 1
    await lab.use("package0")
    new = await lab.use("one-more")
    assert lab.kept() == {*names, new} - {names[1]}
    assert len(os.listdir(lab.root / "locks")) == MOST_ENVIRONMENTS


async def test_what_sessions_use_stays_and_a_further_one_is_refused(lab: Lab) -> None:
    used = [await lab.get(f"package{number}") for number in range(MOST_ENVIRONMENTS)]
    lab.now += 31 * DAY
    with pytest.raises(WorkerError, match="sessions use them all"):
        await lab.get("one-more")
    assert len(lab.kept()) == MOST_ENVIRONMENTS
    used[4].release()
    await lab.get("one-more")
    assert used[4].prefix.name not in lab.kept() and len(lab.kept()) == MOST_ENVIRONMENTS


async def test_builds_that_fail_leave_no_locks(lab: Lab) -> None:
    lab.conda.fail()
    for number in range(3):
        with pytest.raises(WorkerError):
            await lab.get(f"package{number}")
    assert os.listdir(lab.root / "locks") == []


async def test_downloads_go_when_they_are_too_much_but_not_while_somebody_downloads(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "MOST_DOWNLOADED_BYTES", 1_000)
    kept = lab.root / "downloads" / "uv" / "package"
    kept.parent.mkdir()
    kept.write_bytes(b"x" * 900)
    await lab.get("one")
    assert kept.exists()
    (kept.parent / "more").write_bytes(b"x" * 200)
    other = FileLock(lab.root / "downloading")
    assert other.try_take(shared=True)
    await lab.get("two")
    assert kept.exists()
    other.release()
    await lab.get("three")
    assert not kept.exists() and (lab.root / "downloads").is_dir()


@pytest.mark.parametrize(("days", "is_kept"), [(29, True), (31, False)])
async def test_what_nobody_used_for_thirty_days_goes(lab: Lab, days: int, is_kept: bool) -> None:
    name = await lab.use("numpy")
    lab.now += days * DAY
    await lab.use("scipy")
    assert (name in lab.kept()) is is_kept
