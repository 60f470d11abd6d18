"""Every built-in function × caller × target, over RPC and HTTP, against the permission table.

The rows come from the declarations beside the functions, as docs/permissions.md does. What a caller
may do is worked out here a second time, from who it is; the server has to come to the same answer.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hypha.auth.scopes import Level
from hypha.builtins.table import Row, table_of
from hypha.configuration import flags_for_all
from hypha.testing import RawCallError, RawClient, ServerProcess, mint_token
from tests.kit.clients import Connections
from tests.kit.people import Person, make_person

CALLERS = ("anonymous", "stranger", "read", "read_write", "admin", "owner elsewhere", "root", "child of root")
"""The last one holds a token that root generated: admin of root's workspace, without root's role."""
TARGETS = ("own", "other", "public")
CODES = {"read": "r", "read_write": "rw", "admin": "a"}
NO_LIMITS = {"HYPHA_HTTP_RATE_LIMIT": "0", "HYPHA_HTTP_AUTHENTICATED_RATE_LIMIT": "0"}
NOT_ANONYMOUS = {"install", "launch"}
ROOT_SERVICES = {"admin-utils": "ws-user-root"}


def writer() -> Any:
    """The module that writes the generated pages of docs/."""
    spec = importlib.util.spec_from_file_location(
        "write_docs", Path(__file__).parents[2] / "tools/write_docs.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Caller:
    """Somebody who calls: the token, the home workspace, and the rights that follow from it."""

    name: str
    token: str | None
    home: str
    other: str
    rights: dict[str, Level]
    rpc: RawClient
    is_bound: bool = False

    def target(self, kind: str) -> str:
        return {"own": self.home, "other": self.other, "public": "public"}[kind]

    def level(self, workspace: str) -> Level:
        return Level.ADMIN if self.name == "root" else self.rights.get(workspace, Level.NONE)

    def http_level(self, workspace: str) -> Level:
        """Level in the workspace in which a request to an address of `workspace` acts."""
        if self.name == "anonymous":
            return Level.READ
        if self.is_bound or self.level(workspace) < Level.READ:
            return max(self.rights.values())
        return self.level(workspace)


@dataclass
class World:
    """A server, its table, and everybody."""

    server: ServerProcess
    rows: list[Row]
    callers: dict[str, Caller]
    http: httpx.AsyncClient
    server_id: str
    token_ids: dict[str, str]
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world() -> AsyncIterator[World]:
    without_workers = {
        "HYPHA_DISABLE_INPROCESS_BROWSER_WORKER": "true"
    }  # they are clients, not functions of the server
    server = ServerProcess(flags=flags_for_all(), env={**NO_LIMITS, **without_workers})
    await asyncio.to_thread(server.start)
    connections = Connections(server)
    opened: list[RawClient] = []
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as http:
            yield await build(server, connections, opened, http)
    finally:
        await connections.close()
        for raw in opened:
            await raw.close()
        await asyncio.to_thread(server.close)


async def build(
    server: ServerProcess, connections: Connections, opened: list[RawClient], http: httpx.AsyncClient
) -> World:
    alice, erin, stranger = (make_person(server, name) for name in ("alice", "erin", "stranger"))
    lab, elsewhere = f"lab-{uuid.uuid4().hex[:6]}", f"else-{uuid.uuid4().hex[:6]}"
    token_ids = {}
    for person, workspace in ((alice, lab), (erin, elsewhere), (alice, None), (stranger, None)):
        client = await connections.connect(person)
        if workspace is not None:
            await client.create_workspace({"id": workspace})
            client = await connections.connect(person, workspace=workspace)
        await client.register_service({"id": "probe", "hello": lambda: "hello"})
        await client.generate_token({"permission": "read"})
        token_ids[client.config.workspace] = (await client.list_tokens(client.config.workspace))[0]["id"]
    root = Person("root", server.secret or "", server.root_token or "")
    for workspace, visibility in (("public", "public"), ("ws-user-root", "protected")):
        client = await connections.connect(root, workspace=workspace)
        probe = {"id": "probe", "config": {"visibility": visibility}, "hello": lambda: "hello"}
        await client.register_service(probe)

    async def caller(name: str, token: str | None, home: str | None, other: str, level: Level) -> Caller:
        rpc = await RawClient.connect(server.ws_url, token=token, workspace=home)
        opened.append(rpc)
        if level >= Level.READ_WRITE:
            await rpc.offer("own-service")
        is_bound = name in CODES
        return Caller(name, token, rpc.workspace, other, {rpc.workspace: level}, rpc, is_bound)

    callers = [await caller("anonymous", None, None, lab, Level.ADMIN)]
    callers.append(await caller("stranger", stranger.token, None, lab, Level.ADMIN))
    for name, code in CODES.items():
        level = Level.parse(code)
        callers.append(await caller(name, alice.token_for(code, lab), lab, alice.workspace, level))
    callers.append(await caller("owner elsewhere", erin.token, elsewhere, lab, Level.ADMIN))
    callers.append(await caller("root", server.root_token, None, lab, Level.ADMIN))
    child = await callers[-1].rpc.call_manager("generate_token", {"permission": "admin"})
    callers.append(await caller("child of root", child, None, lab, Level.ADMIN))
    callers[-1].is_bound = True
    assert tuple(each.name for each in callers) == CALLERS
    anonymous = callers[0]
    probes = await connections.connect(token=await anonymous.rpc.call_manager("generate_token"))
    await probes.register_service({"id": "probe", "hello": lambda: "hello"})
    rows = table_of(await writer().built_in_services())
    info = await callers[6].rpc.call_manager("get_service_info", "ws-user-root/admin-utils")
    server_id = info["id"].partition("/")[2].partition(":")[0]
    return World(server, rows, {c.name: c for c in callers}, http, server_id, token_ids)


@dataclass
class Case:
    """How a function is called at a target, and whether that must be allowed."""

    args: Callable[[World, Caller, str], list[Any] | None]
    allowed: Callable[[Caller, str], bool]
    over: tuple[str, ...] = ("rpc", "http")
    told: Callable[[Any], bool] = lambda result: True
    """Reads a result: False is a refusal without an error."""


def at(level: Level) -> Callable[[Caller, str], bool]:
    return lambda caller, target: caller.level(target) >= level


def foreign_token(world: World, target: str) -> str:
    return mint_token(world.server.secret or "", f"t-{uuid.uuid4().hex[:8]}", workspaces={target: "r"})


def may_mint(caller: Caller, target: str) -> bool:
    own = caller.name == "read_write" and target == caller.home
    return caller.level(target) is Level.ADMIN or own


def readable(caller: Caller, target: str) -> bool:
    return target == "public" or caller.level(target) >= Level.READ


def may_create(caller: Caller, target: str) -> bool:
    return caller.name not in ("anonymous", "read")


def may_bookmark(caller: Caller, target: str) -> bool:
    return not caller.is_bound and caller.level(target) >= Level.READ


def always(caller: Caller, target: str) -> bool:
    return True


def found_probe(services: Any) -> bool:
    return any(str(info["id"]).endswith(":probe") for info in services)


# functions whose right depends on what their arguments name
CASES: dict[str, Case] = {
    "list_clients": Case(lambda w, c, t: [t], at(Level.READ)),
    "get_workspace_info": Case(lambda w, c, t: [t], at(Level.READ)),
    "list_service_types": Case(lambda w, c, t: [t], readable),
    "get_service_type": Case(lambda w, c, t: [f"{t}/no-such-type"], readable),
    "ping": Case(
        lambda w, c, t: [f"{t}/nobody", 1], at(Level.READ), told=lambda text: "Permission denied" not in text
    ),
    "generate_token": Case(lambda w, c, t: [{"workspace": t, "permission": "read"}], may_mint),
    "list_tokens": Case(lambda w, c, t: [t], at(Level.ADMIN)),
    "rename_token": Case(
        lambda w, c, t: [w.token_ids[t], "a name"] if t in w.token_ids else None, at(Level.ADMIN)
    ),
    "revoke_token": Case(lambda w, c, t: [foreign_token(w, t)], at(Level.ADMIN)),
    "cleanup": Case(
        lambda w, c, t: None if c.level(t) is Level.ADMIN else [t, 1], at(Level.ADMIN)
    ),
    "delete_workspace": Case(
        lambda w, c, t: None if c.level(t) is Level.ADMIN else [t], at(Level.ADMIN)
    ),
    "get_service": Case(lambda w, c, t: [f"{t}/probe", {"mode": "first"}], readable),
    "get_service_info": Case(lambda w, c, t: [f"{t}/probe", {"mode": "first"}], readable),
    "list_services": Case(lambda w, c, t: [{"workspace": t}], readable, told=found_probe),
    "search_services": Case(lambda w, c, t: ["probe"], always),
    "register_service": Case(
        lambda w, c, t: [{"id": f"{t}/{c.rpc.info['client_id']}:mine", "config": {}}],
        lambda c, t: t == c.home and c.level(t) >= Level.READ_WRITE,
        over=("rpc",),
    ),
    "unregister_service": Case(lambda w, c, t: [f"{t}/somebody:ghost"], at(Level.ADMIN), over=("rpc",)),
    "bookmark": Case(lambda w, c, t: [{"bookmark_type": "workspace", "id": t}], may_bookmark),
    "unbookmark": Case(lambda w, c, t: [{"bookmark_type": "workspace", "id": "never-marked"}], always),
    "create_workspace": Case(lambda w, c, t: [{"id": "Not An Id"}], may_create),
    "subscribe": Case(lambda w, c, t: ["news"], always, over=("rpc",)),
    "unsubscribe": Case(lambda w, c, t: ["news"], always, over=("rpc",)),
}  # fmt: skip

# arguments for functions whose right depends on the caller's current workspace alone
ARGUMENTS: dict[str, list[Any]] = {
    "echo": [1], "log": ["hello"], "log_event": ["visit"], "set_env": ["KEY", "v"], "get_env": [],
    "register_service_type": [{"id": "Bad Id"}], "kickout_client": ["ws-x", "nobody"],
    "unload_workspace": ["never-heard-of"], "block_user": [""], "unblock_user": ["nobody-at-all"],
    "block_ip": ["no address"], "unblock_ip": ["203.0.113.9"], "write_terminal": [""],
    "execute_command": ["1+1"],
}  # fmt: skip


async def over_rpc(world: World, caller: Caller, row: Row, args: list[Any]) -> tuple[bool, Any]:
    """Whether a call over RPC is let through, and its result."""
    to = caller.rpc.manager
    if row.service != "default":
        to = f"{ROOT_SERVICES.get(row.service, 'public')}/{world.server_id}"
    try:
        result = await caller.rpc.call(to, f"services.{row.service}.{row.function}", *args)
    except RawCallError as error:
        text = str(error)
        assert not text.startswith("ServerFault"), (row.service, row.function, text)
        return not text.startswith("PermissionError"), None
    return True, result


async def over_http(
    world: World, caller: Caller, row: Row, args: list[Any], workspace: str
) -> tuple[bool, Any]:
    """The same over HTTP, at an address of `workspace`."""
    if row.service == "default":
        url = f"/{workspace}/services/ws/{row.function}"
    else:
        url = f"/{ROOT_SERVICES.get(row.service, 'public')}/services/{row.service}/{row.function}"
    headers = {"Authorization": f"Bearer {caller.token}"} if caller.token else {}
    answer = await world.http.post(url, json=args, headers=headers)
    assert answer.status_code < 500, (row.service, row.function, args, answer.text)
    is_let = answer.status_code not in (401, 403)
    return is_let, answer.json() if answer.status_code == 200 else None


def names_no_target(row: Row, way: str) -> bool:
    """Whether a call is the same for all targets: only arguments, and addresses of the manager, name one."""
    if row.service == "default":
        return way == "rpc" and row.function not in CASES
    return True


async def check(world: World, row: Row, caller: Caller, kind: str) -> None:
    """Call one function for one caller at one target over both ways, and compare."""
    target = caller.target(kind)
    case = CASES.get(row.function) if row.service == "default" else None
    for way in ("rpc", "http"):
        if kind != TARGETS[0] and names_no_target(row, way):
            continue
        if case is not None:
            args = case.args(world, caller, target)
            is_anonymous_http = way == "http" and caller.name == "anonymous"
            if way not in case.over or args is None or (is_anonymous_http and kind == "own"):
                continue
            expected, home = case.allowed(caller, target), caller.home
            if is_anonymous_http and row.function == "bookmark":
                home = "ws-anonymous"
        else:
            args, home = ARGUMENTS.get(row.function, []), target
            expected = expected_by_row(row, caller, way, target)
        call = (
            over_rpc(world, caller, row, args) if way == "rpc" else over_http(world, caller, row, args, home)
        )
        is_let, result = await call
        if is_let and result is not None and case is not None:
            is_let = case.told(result)
        world.refused += not is_let
        if is_let is not expected:
            said = "allowed" if is_let else "refused"
            world.wrong.append(f"{row.service}.{row.function} by {caller.name} at {kind} over {way}: {said}")


def expected_by_row(row: Row, caller: Caller, way: str, target: str) -> bool:
    """What the table says, where only the caller and its current workspace count."""
    if row.permission.by_root:
        return caller.name == "root"
    if row.function in NOT_ANONYMOUS and caller.name == "anonymous":
        return False
    level = caller.level(caller.home) if way == "rpc" else caller.http_level(target)
    return row.permission.on != "current workspace" or level >= row.permission.level


@pytest.mark.timeout(120)
@pytest.mark.spec("core-11.1.3", "core-11.1.5", "core-11.1.16", "core-11.1.18", "core-11.1.19")
async def test_every_function_allows_whom_the_table_allows(world: World) -> None:
    calls = list(itertools.product(world.rows, world.callers.values(), TARGETS))
    for start in range(0, len(calls), 12):
        await asyncio.gather(*(check(world, *call) for call in calls[start : start + 12]))
    assert not world.wrong, "\n".join(world.wrong)
    assert world.refused > 300


# what the declarations beside the functions have to say, so that a slip there is seen
ARTIFACTS = {
    "commit", "create", "delete", "discard", "discard_changes", "duplicate", "edit", "get_file", "get_secret",
    "get_status", "list", "list_files", "search",
    "put_file", "put_file_complete_multipart", "put_file_start_multipart",
    "read", "read_file", "remove_file", "reset_stats", "set_download_weight", "set_parent", "set_secret",
    "write_file", "list_contents", "put_file_resume_multipart", "reuse_files", "verify",
}  # fmt: skip
"""Whether a caller may is up to the artifact: tests/unit/features/artifacts."""
OPEN = {
    "artifact-manager": ARTIFACTS,
    "default": {
        "get_service", "get_service_info", "list_services", "search_services", "subscribe", "unsubscribe",
        "bookmark", "unbookmark",
    },
    "hypha-login": {
        "check", "create_administrator", "drop_workspace", "held_workspaces", "index", "keep_workspace",
        "login", "logout", "profile", "prove_email", "report", "request_password_reset", "resend_code",
        "reset_password", "signup", "start", "update_profile", "verify_email",
    },
}  # fmt: skip
FOR_ADMINISTRATORS = {"create_invitation", "list_invitations", "revoke_invitation"}
READERS = {
    "check_status", "get_event_stats", "get_events", "get_service_type", "get_summary", "get_workspace_info",
    "list_clients", "list_service_types", "list_workspaces", "parse_token", "ping",
    "get_length", "peek", "generate_presigned_url", "get_file", "list_files",
    "get_app_info", "get_logs", "get_session_info", "list_apps", "list_running", "list_workers", "start",
    "stop", "read_file", "take_screenshot", "publish", "validate_app_manifest",
}  # fmt: skip
WRITERS = {
    "create_workspace", "echo", "generate_token", "get_env", "log", "log_event", "register_service",
    "register_service_type", "set_env", "unregister_service", "ack", "extend", "pop", "push",
    "execute", "get_config", "delete_directory", "delete_file", "put_file", "put_file_complete_multipart",
    "put_file_start_multipart", "remove_file", "install", "uninstall", "commit_app", "edit_app",
    "edit_file", "edit_worker", "launch", "stop_all",
}  # fmt: skip


async def test_no_declaration_is_weaker_than_it_has_to_be(world: World) -> None:
    for row in world.rows:
        declared, name = row.permission, row.function
        if row.service == "admin-utils" or name in FOR_ADMINISTRATORS:
            assert declared.by_root, name
        elif name in OPEN.get(row.service, ()):
            assert declared.level is Level.NONE, name
        else:
            level = Level.READ if name in READERS else Level.READ_WRITE if name in WRITERS else Level.ADMIN
            assert declared.level is level, (row.service, name)


async def test_every_function_that_the_server_offers_stands_in_the_table(world: World) -> None:
    root = world.callers["root"].rpc
    offered = {
        ("default", name) for name in (await root.call_manager("get_service_info", "~"))["service_schema"]
    }
    for workspace in ("public", "ws-user-root"):
        for info in await root.call_manager("list_services", {"workspace": workspace}):
            address, _, name = info["id"].partition(":")
            if address.endswith(f"/{world.server_id}") and name != "built-in":
                described = await root.call_manager("get_service_info", info["id"])
                offered |= {(name, function) for function in described["service_schema"]}
    assert offered == {(row.service, row.function) for row in world.rows}


async def test_every_function_of_the_manager_that_names_a_target_is_modelled(world: World) -> None:
    open_ended = {
        row.function
        for row in world.rows
        if row.service == "default" and row.permission.on != "current workspace"
    }
    assert open_ended <= set(CASES)


@pytest.mark.spec("core-M14", "core-11.1.4")
@pytest.mark.parametrize(("code", "allowed"), [("r", False), ("rw", False), ("a", True)])
async def test_workspaces_are_deleted_by_their_admins_alone(world: World, code: str, allowed: bool) -> None:
    root = world.callers["root"]
    doomed = f"doomed-{uuid.uuid4().hex[:6]}"
    await root.rpc.call_manager("create_workspace", {"id": doomed, "persistent": True})
    token = mint_token(world.server.secret or "", "deleter", workspaces={doomed: code}, current=doomed)
    headers = {"Authorization": f"Bearer {token}"}
    answer = await world.http.post(f"/{doomed}/services/ws/delete_workspace", json=[doomed], headers=headers)
    assert (answer.status_code == 200) is allowed
    listed = await root.rpc.call_manager("list_workspaces", {"id": doomed})
    assert bool(listed) is not allowed
