"""Files that a manifest asks for before its program runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hypha.workers import staging
from hypha.workers.base import WorkerConfig, WorkerError
from hypha.workers.staging import Staged, stage, wishes
from tests.kit.app_files import AppFiles, app_files


@pytest.fixture
def files() -> Iterator[AppFiles]:
    with app_files() as served:
        yield served


def config(files: AppFiles, *wanted: str) -> WorkerConfig:
    return WorkerConfig(**files.config(manifest={"type": "t", "files_to_stage": list(wanted)}))


def test_wishes_name_files_and_folders_and_where_they_go() -> None:
    assert wishes(["a.csv", "dir/", "b/c:d", "b/c:d/", "dir/:other/"]) == [
        Staged("a.csv", "a.csv", False),
        Staged("dir", "dir", True),
        Staged("b/c", "d", False),
        Staged("b/c", "d/c", False),
        Staged("dir", "other", True),
    ]
    assert wishes(None) == []


@pytest.mark.parametrize(
    "given",
    ["a.csv", {"a": "b"}, [""], [" "], [5], ["../a"], ["a:/etc/passwd"], ["a:b/../../c"], ["/a"], ["a:"],
     ["a\0"], ["a\\..\\b"], [":a"], ["a"] * 1_001],
    ids=lambda given: repr(given)[:20],
)  # fmt: skip
def test_other_wishes_are_refused(given: object) -> None:
    with pytest.raises(WorkerError, match="files_to_stage"):
        wishes(given)


async def test_a_file_that_is_not_there_is_told(files: AppFiles, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"none\.csv .* answered 404"):
        await stage(config(files, "none.csv"), tmp_path)
    files.files["a"] = b"1"
    with pytest.raises(WorkerError, match="cannot be staged"):
        await stage(config(files, "a", "a:a/b"), tmp_path)


async def test_files_are_bounded_together(
    files: AppFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.files |= {"a": bytes(60), "b": bytes(60)}
    monkeypatch.setattr(staging, "MOST_STAGED_BYTES", 119)
    with pytest.raises(WorkerError, match="larger than 59 bytes"):
        await stage(config(files, "a", "b"), tmp_path)
