"""A small server behind the HTTP gateway: services are plain Python functions."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User, root_user
from hypha.builtins.service import BuiltinFunction, BuiltinService
from hypha.errors import (
    CallFailed,
    HyphaError,
    NotAuthenticated,
    NotDelivered,
    TokenExpired,
)
from hypha.gateways.context import GatewayContext
from hypha.gateways.http import HttpApplication
from hypha.hub.callbacks import Function, Session
from hypha.observe.health import Health
from hypha.observe.metrics import Metrics
from hypha.registry.balance import Selection
from hypha.registry.calling import Calling
from hypha.registry.index import Registry, ServiceFilter
from hypha.registry.offering import record_of
from hypha.registry.records import ServiceRecord
from hypha.registry.roster import LocalRoster
from hypha.registry.sources import Sources
from hypha.settings import Settings
from hypha.web.credentials import Credentials
from hypha.web.running import Running
from hypha.web.uploads import Uploads


def generic(user_id: str) -> User:
    """A registered user whose token names no workspace."""
    return User(user_id, scope=Scope({f"ws-user-{user_id}": Level.ADMIN}))


def bound(user_id: str, workspace: str, level: Level = Level.ADMIN) -> User:
    """The holder of a token that is bound to a workspace."""
    return User(user_id, scope=Scope({workspace: level}, workspace))


class FakeServer:
    """A registry, users, workspaces and one peer that runs the functions in place."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.functions: dict[str, dict[str, Any]] = {}
        self.calling = Calling(
            self.registry, Selection(Sources(self.registry), LocalRoster(self), self), self, self, "http://x"
        )
        self.users: dict[str, User] = {"root": root_user(), "anna": generic("anna"), "bert": generic("bert")}
        self.workspaces = {"public": "root", "ws-user-anna": "anna", "ws-user-bert": "bert"}
        self.calls: list[tuple[str, str, list[Any], dict[str, Any], Context]] = []
        self.closed = 0

    async def authenticate(self, token: str) -> User:
        if token == "expired":
            raise TokenExpired("Authentication error: The token has expired. Please fetch a new one")
        if token not in self.users:
            raise NotAuthenticated("Authentication error: Error decoding token headers.")
        return self.users[token]

    def get(self, workspace_id: str) -> Any:
        return self.workspaces.get(workspace_id)

    async def load(self, workspace_id: str) -> Any:
        return self.workspaces.get(workspace_id)

    async def open(self, workspace_id: str, user: User) -> Any:
        return self.workspaces.setdefault(workspace_id, user.id)

    def level_for(self, user: User, record: Any) -> Level:
        return Level.ADMIN if record == user.id or user.is_admin else Level.NONE

    async def level_in(self, user: User, workspace: str) -> Level:
        return self.level_for(user, self.workspaces.get(workspace, workspace.removeprefix("ws-user-")))

    def client(self, workspace: str, client_id: str) -> None:
        """Selection asks for the load of a client: there is none."""

    def session(self, target: str, functions: Mapping[str, Function], context: Context) -> Session:
        raise NotImplementedError

    async def call(
        self,
        target: str,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float = 30.0,
        context: Context | None = None,
    ) -> Any:
        assert context is not None
        self.calls.append((target, method, list(args), dict(kwargs or {}), context))
        _, name, *path = method.split(".")
        if name == "built-in":
            return {key: encoded(value) for key, value in self.functions[f"{target}:{args[0]}"].items()}
        if target.endswith("/gone"):
            raise NotDelivered(f"Target peer {target} is not connected")
        value: Any = self.functions[f"{target}:{name}"]
        for word in path:
            value = value[word]
        try:
            result = value(*args, **dict(kwargs or {}))
        except HyphaError:
            raise
        except Exception as error:
            text = 'Traceback (most recent call last):\n  File "/home/anna/secret.py", line 3\n    f()\n'
            raise CallFailed(f"{text}{type(error).__name__}: {error}") from None
        return await result if inspect.isawaitable(result) else result

    async def iterate(
        self, value: Mapping[str, Any], *, timeout_s: float = 30.0, context: Context | None = None
    ) -> AsyncIterator[Any]:
        try:
            for item in value["_items"]:
                result = item() if callable(item) else item
                yield await result if inspect.isawaitable(result) else result
        finally:
            self.closed += 1

    def add(
        self, name: str = "demo", *, client: str = "provider", visibility: str = "public", **functions: Any
    ) -> None:
        """Register a service whose schema is what the Python client would derive."""
        record = ServiceRecord(
            "ws-user-anna",
            client,
            name,
            title=name,
            config={"visibility": visibility},
            service_schema=schema_of(functions),
            visibility=visibility,
            user_id="anna",
        )
        self.functions[record.id] = functions
        self.registry.add(record)

    def change(self, **fields: Any) -> None:
        """Register the one service anew, with other fields."""
        (record,) = self.registry.find(ServiceFilter("ws-user-anna"))
        self.registry.remove(*record.key)
        changed = replace(record, **fields)
        self.functions[changed.id] = self.functions[record.id]
        self.registry.add(changed)


def encoded(value: Any) -> Any:
    """A service's content as a provider sends it."""
    if callable(value):
        return {"_rtype": "method", "_rmethod": "x", "_rname": getattr(value, "__name__", "f")}
    if isinstance(value, dict):
        return {key: encoded(item) for key, item in value.items()}
    return value


_KINDS = {int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


def schema_of(value: Any) -> Any:
    """The schema that the Python client derives by itself."""
    if isinstance(value, dict):
        return {key: schema_of(item) for key, item in value.items()}
    if not callable(value):
        return {"type": "string"}
    properties = {
        name: {
            "type": _KINDS.get(
                eval(str(p.annotation)) if isinstance(p.annotation, str) else p.annotation, "string"
            ),
            "description": "",
        }
        for name, p in inspect.signature(value).parameters.items()
    }
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": "f", "description": "", "parameters": parameters}}


def manager_record() -> ServiceRecord:
    """A manager with the few functions that the routes use."""

    async def list_services(query: dict[str, Any], *, context: Context) -> list[dict[str, Any]]:
        return [{"id": f"{query['workspace']}/c:demo", "seen_by": context.user.id, "in": context.workspace}]

    async def get_workspace_info(workspace: str, *, context: Context) -> dict[str, Any]:
        context.require(Level.READ, workspace)
        return {"id": workspace}

    async def echo(data: Any, *, context: Context) -> Any:
        return {"data": data, "workspace": context.workspace, "user": context.user.id}

    async def broken(*, context: Context) -> None:
        raise RuntimeError("cannot open /var/lib/secret")

    functions = {}
    for fn in (list_services, get_workspace_info, echo, broken):
        signature = inspect.signature(fn)
        parameters = [p for p in signature.parameters.values() if p.name != "context"]
        functions[fn.__name__] = BuiltinFunction(
            fn.__name__,
            fn,
            "Does it.",
            {
                "name": fn.__name__,
                "parameters": {"type": "object", "properties": {p.name: {} for p in parameters}},
            },
            signature=signature.replace(parameters=parameters),
        )
    config = {"server_id": "s1", "public_base_url": "http://x"}
    return record_of(BuiltinService("default", functions, config=config), "*", "manager")


def services_of(server: FakeServer, **fields: Any) -> GatewayContext:
    """The gateway's view of a fake server, ready."""
    health = Health(version="1")
    health.is_ready = True
    defaults: dict[str, Any] = {
        "calling": server.calling,
        "workspaces": server,
        "credentials": Credentials(server.authenticate, server),
        "manager": manager_record(),
        "health": health,
        "metrics": Metrics(),
        "running": Running.from_settings(Settings()),
        "uploads": Uploads.from_settings(Settings()),
    }
    return GatewayContext(**{**defaults, **fields})


def client_of(
    server: FakeServer, *, app: Callable[..., Any] | None = None, **fields: Any
) -> httpx.AsyncClient:
    """An HTTP client for the gateway, in process."""
    app = app or HttpApplication(services_of(server, **fields))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    return httpx.AsyncClient(
        transport=transport, base_url="http://hub.test", headers={"accept-encoding": "identity"}
    )
