"""What of a Triton server is passed on, and to whom."""

from __future__ import annotations

import pytest

from hypha.auth.scopes import Level
from hypha.auth.users import Context, User
from hypha.errors import InvalidRequest, NotFound, PermissionDenied
from hypha.features.triton.access import TritonAccess, checked_name, checked_version, passed_path

READING = [
    "v2",
    "v2/health/live",
    "v2/health/ready",
    "v2/models/stats",
    "v2/models/a-b_c.d",
    "v2/models/m/ready",
    "v2/models/m/config",
    "v2/models/m/stats",
    "v2/models/m/versions/12",
    "v2/models/m/versions/12/ready",
    "v2/models/m/versions/1/config",
]
RUNNING = [
    "v2/models/m/infer",
    "v2/models/m/versions/3/infer",
    "v2/models/m/generate",
    "v2/models/m/generate_stream",
]
CONTROL = [
    "v2/repository/index",
    "v2/repository/models/m/load",
    "v2/repository/models/m/unload",
    "v2/logging",
    "v2/trace/setting",
    "v2/models/m/trace/setting",
    "v2/systemsharedmemory/status",
    "v2/systemsharedmemory/region/x/register",
    "v2/systemsharedmemory/unregister",
    "v2/cudasharedmemory/status",
    "v2/cudasharedmemory/region/x/register",
    "metrics",
    "",
    "v2/",
    "v1/models/m",
    "v2/models",
    "v2/models/",
]
DISGUISES = [
    "v2//models/m/config",
    "/v2/models/m/config",
    "v2/models/m/config/",
    "v2/./models/m/config",
    "v2/models/m/../../repository/index",
    "v2/models/..%2frepository/config",
    "v2/models/%2e%2e/repository/index",
    "v2/models/../ready",
    "v2/models/..",
    "v2/models/./config",
    "v2/models/m%2Fload/config",
    "v2/models/m%5cload",
    "v2/models/m%00/config",
    "v2/models/m%0d%0a/config",
    "v2%2Frepository/index",
    "v2%2frepository%2findex",
    "v2/models/m%3fx/config",
    "v2/models/m;x/config",
    "v2/models/%252e%252e/config",
    "v2/models/m/versions/1%2F..",
    "v2/models/m/versions/../config",
    "V2/models/m",
    "v2/Models/m",
    "v2/models/m/Config",
    "v2/models/m/versions",
    "v2/models/m/versions//config",
    "v2/models/" + "m" * 201,
]


def test_reading_and_running_is_passed_on_as_it_is() -> None:
    for path in READING:
        assert passed_path("GET", path) == passed_path("HEAD", path) == path
    for path in RUNNING:
        assert passed_path("POST", path) == path


def test_paths_are_written_anew() -> None:
    assert passed_path("GET", "v2/%6dodels/%6D%2Dx/config") == "v2/models/m-x/config"


@pytest.mark.parametrize("path", [*CONTROL, *DISGUISES])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_control_is_not_there_however_it_is_written(method: str, path: str) -> None:
    with pytest.raises(NotFound):
        passed_path(method, path)


def test_the_method_belongs_to_the_path() -> None:
    for method, paths in (("POST", READING), ("GET", RUNNING), ("DELETE", READING), ("PUT", RUNNING)):
        for path in paths:
            with pytest.raises(NotFound):
                passed_path(method, path)


def test_names_and_versions() -> None:
    assert (checked_name("a.b-c_1"), checked_version(""), checked_version(3)) == ("a.b-c_1", "", "3")
    for name in ("", ".", "..", "a/b", "a b", "a%2f", 5, None, "é"):
        with pytest.raises(InvalidRequest):
            checked_name(name)
    for version in ("x", "1/..", "-1", "1 ", "1" * 21, "\u0661"):
        with pytest.raises(InvalidRequest):
            checked_version(version)


async def test_read_write_on_the_workspace_lets_in_and_nothing_less() -> None:
    levels = {"reader": Level.READ, "writer": Level.READ_WRITE, "admin": Level.ADMIN}

    async def level_in(user: User, workspace: str) -> Level:
        return levels.get(user.id, Level.NONE) if workspace == "lab" else Level.ADMIN

    closed = TritonAccess("lab", is_public=False, level_in=level_in)
    for name in ("stranger", "reader"):
        with pytest.raises(PermissionDenied):
            await closed.check(Context(User(name), "other"))
        await TritonAccess("lab", is_public=True, level_in=level_in).check(Context(User(name), "other"))
    for name in ("writer", "admin"):
        await closed.check(Context(User(name), "other"))
