"""Routes below any workspace leave literal paths of the server alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Match

from hypha.web.workspace_routes import WorkspaceRoute


@pytest.mark.parametrize(("path", "match"), [("/ws-1/files/a/b", Match.FULL), ("/tools/files/a", Match.NONE)])
def test_a_mount_keeps_its_paths(path: str, match: Match) -> None:
    route = WorkspaceRoute("/{workspace}/files/{path:path}", PlainTextResponse("x"))
    scope = {"type": "http", "method": "GET", "path": path, "app": SimpleNamespace(words={"tools"})}
    assert route.matches(scope)[0] is match
