"""`/{workspace}/view/{alias}/…`: an artifact as a web site, or the server's own page of it.

A page is somebody's program: as those of applications it is shown in a sandbox, so that it has an origin of
its own and acts with nobody's rights (docs/security.md#pages-of-artifacts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from hypha.auth.users import Context
from hypha.errors import InvalidRequest
from hypha.features.artifacts.access import is_staged_asked
from hypha.features.artifacts.artifact import Artifact, FileNotFound
from hypha.features.artifacts.files import Found
from hypha.features.artifacts.functions_lists import MAX_STAGED_SHOWN
from hypha.features.artifacts.http_files import FileRoute
from hypha.features.artifacts.http_queries import reference_of, version_of
from hypha.features.artifacts.paths import joined
from hypha.features.artifacts.renderer import Renderer, Template, source_of
from hypha.features.artifacts.service import ArtifactManager
from hypha.features.artifacts.view_config import INDEX, ViewConfig
from hypha.features.artifacts.view_page import PAGE_POLICY, Shown, page_of
from hypha.objects.paths import check_folder, check_path
from hypha.objects.store import DEFAULT_TYPE
from hypha.web.apps_origin import AppsOrigin
from hypha.web.arrival import is_browser, is_navigation
from hypha.web.content import send_object
from hypha.web.credentials import Credentials
from hypha.web.file_routes import is_true
from hypha.web.headers import Headers, headers_of
from hypha.web.sandbox import SANDBOX
from hypha.web.scope import ON_APPS_ORIGIN

VIEW = "/{workspace}/view/{alias}"
MAX_SHOWN_FILES = 1000


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where artifacts are found, and where their pages may be: `apps` is where pages alone are."""

    base_url: str
    local_base_url: str
    apps: AppsOrigin | None = None
    is_trusting: bool = False
    """Everybody who may connect is trusted: pages get no sandbox."""


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request for a page; `path` is that below the address of the artifact."""

    artifact: Artifact
    view: ViewConfig
    path: str
    version: str | int | None
    staged: bool
    query: QueryParams
    context: Context
    scope: Scope
    send: Send


class ViewRoute(FileRoute):
    """The route's ASGI endpoint; who asks is found out as for single files."""

    def __init__(
        self, manager: ArtifactManager, credentials: Credentials, addresses: Addresses, renderer: Renderer
    ) -> None:
        super().__init__(manager, credentials)
        self._addresses = addresses
        self._renderer = renderer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Show what is at a path."""
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": "GET, HEAD"})
        if elsewhere := self._elsewhere(scope):
            await _redirect(send, elsewhere)
            return
        visit = await self._visit(scope, send)
        if scope["method"] == "GET":
            await self._manager.parts.artifacts.count(visit.artifact.id, views=1)
        path = f"{visit.path}{INDEX}" if visit.path.endswith("/") or not visit.path else visit.path
        if not visit.path and visit.view.is_builtin:
            await self._send_own(visit)
            return
        try:
            found = await self._found(visit, check_path(path))
        except FileNotFound:
            if visit.path:
                raise
            await self._send_own(visit)
            return
        if visit.view.is_template(path):
            await self._send_rendered(visit, path, found)
        else:
            kind = self._manager.type_of(path)
            headers = [(b"content-type", _with_charset(kind))] if kind != DEFAULT_TYPE else []
            store = self._manager.parts.store
            headers += self._fields(visit)
            await send_object(store, found.key, scope, send, headers=headers, receive=receive)

    def _elsewhere(self, scope: Scope) -> bytes:
        """Where a browser has to go: to the origin of pages, and to where relative links are right."""
        apps, has_path = self._addresses.apps, "path" in scope["path_params"]
        if apps is not None and ON_APPS_ORIGIN not in scope:
            return apps.address_of(scope).encode("latin-1")
        if has_path or not is_navigation(headers_of(scope)):
            return b""
        query: bytes = scope.get("query_string", b"")
        alias: str = scope["path_params"]["alias"]
        return quote(alias).encode() + b"/" + (b"?" + query if query else b"")

    async def _visit(self, scope: Scope, send: Send) -> _Visit:
        query, path = QueryParams(scope["query_string"]), scope["path_params"].get("path", "")
        context = await self._context(scope, query, path)
        artifact = await self._manager.parts.access.find(reference_of(scope["path_params"]), context)
        self._check_token(context.user, artifact, path or INDEX, "GET")
        self._check_reach(scope, query, context, artifact)
        version = version_of(query)
        staged = is_staged_asked(version, is_true(query, "stage"))
        artifact = await self._manager.readable(artifact.id, context, "get_file", staged=staged)
        if not staged:
            ViewConfig.of(artifact.config)  # as it is now: an old version does not open what was closed since
        artifact = await self._manager.as_of(artifact, version, staged=staged)
        view = ViewConfig.of(artifact.config)
        return _Visit(artifact, view, path, version, staged, query, context, scope, send)

    def _check_reach(self, scope: Scope, query: QueryParams, context: Context, artifact: Artifact) -> None:
        """Let no page learn a token that opens more than its artifact: scripts read their address.

        Raises:
            InvalidRequest: the address has one.
        """
        if self._addresses.is_trusting or not query.get("token") or not is_browser(headers_of(scope)):
            return
        words = context.user.scope.extra_scopes
        names = tuple(f"get_file:{name}:" for name in (artifact.id, artifact.full_id))
        if not context.user.scope.is_specialized or not all(word.startswith(names) for word in words):
            raise InvalidRequest(
                "The token in this address opens more than this artifact, and its pages would learn it: make "
                f"one with the extra scope get_file:{artifact.full_id}:* and nothing else."
            )

    async def _found(self, visit: _Visit, path: str) -> Found:
        inner, view = joined(visit.view.root, path), self._manager.view
        (found,) = await view.find(visit.artifact, visit.version, [inner], staged=visit.staged)
        return found

    def _fields(self, visit: _Visit) -> Headers:
        own = [pair for pair in visit.view.headers if pair[0] != b"content-security-policy"]
        policies = [pair for pair in visit.view.headers if pair[0] == b"content-security-policy"]
        if not self._addresses.is_trusting:
            policies.append((b"content-security-policy", SANDBOX))
        named = {name for name, _ in own}
        shared = (b"cross-origin-resource-policy", b"cross-origin")
        return [
            *([shared] if shared[0] not in named else []),
            (b"x-content-type-options", b"nosniff"),
            *policies,
            *own,
        ]

    async def _send_rendered(self, visit: _Visit, path: str, found: Found) -> None:
        async def job() -> Template:
            source = await source_of(await self._manager.parts.store.open(found.key), path)
            return Template(source, await self._values(visit))

        body = await self._renderer.render(path, visit.artifact.workspace, job)
        kind = _with_charset(self._manager.type_of(path))
        await _send(visit, body, [(b"content-type", kind), *self._fields(visit)])

    async def _values(self, visit: _Visit) -> Mapping[str, Any]:
        artifact, where = visit.artifact, self._addresses
        if artifact.staged_files > MAX_STAGED_SHOWN and visit.staged:
            shown = artifact.shown(staged_files=[])
        else:
            shown = await self._manager.shown(artifact, staged=visit.staged)
        return {
            "public_base_url": where.base_url,
            "local_base_url": where.local_base_url,
            "artifact": shown,
            "view_base_url": f"{where.base_url}/{artifact.workspace}/view/{artifact.alias}",
            "artifact_base_url": f"{where.base_url}/{artifact.workspace}/artifacts/{artifact.alias}",
            "workspace": artifact.workspace,
            "user": visit.context.user.facts_for(artifact.workspace),
            "metadata": visit.view.metadata if visit.view.metadata is not None else {},
        }

    async def _send_own(self, visit: _Visit) -> None:
        """The server's own page: what the artifact says of itself, and its files."""
        folder = check_folder(visit.query.get("folder"))
        inner = joined(visit.view.root, folder) if folder else visit.view.root
        view, artifact = self._manager.view, visit.artifact
        if visit.staged:
            files = await view.listed_staged(artifact, inner, 0, MAX_SHOWN_FILES, pending=False)
        else:
            files = await view.listed(artifact, visit.version, inner, 0, MAX_SHOWN_FILES)
        if folder and not files:
            raise FileNotFound("File or directory not found")
        words = ("version", "stage", "token")
        kept = [(name, visit.query[name]) for name in words if name in visit.query]
        base = f"{self._addresses.base_url}/{artifact.workspace}" if ON_APPS_ORIGIN in visit.scope else ""
        shown = Shown(artifact, folder, visit.view.root, files, kept, base, visit.version)
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
        await _send(visit, page_of(shown).encode(), [*headers, (b"content-security-policy", PAGE_POLICY)])


async def _send(visit: _Visit, body: bytes, headers: Headers) -> None:
    if all(name != b"cache-control" for name, _ in headers):
        headers = [*headers, (b"cache-control", b"private, no-cache")]
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await visit.send({"type": "http.response.start", "status": 200, "headers": headers})
    await visit.send({"type": "http.response.body", "body": b"" if visit.scope["method"] == "HEAD" else body})


async def _redirect(send: Send, location: bytes) -> None:
    headers = [(b"location", location), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _with_charset(kind: str) -> bytes:
    return f"{kind}; charset=utf-8".encode() if kind.startswith("text/") else kind.encode()
