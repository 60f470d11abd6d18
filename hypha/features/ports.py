"""The five ports through which a feature uses the server: services, HTTP, data, tasks, events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hypha.addresses import ServiceQuery
from hypha.registry.offering import is_function_of

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.routing import BaseRoute

    from hypha.auth.hooks import GenerateToken, ParseToken
    from hypha.auth.tokens import ForeignTokens, TokenAuthority
    from hypha.auth.users import Context
    from hypha.background import Background
    from hypha.builtins.service import BuiltinService
    from hypha.hub.callbacks import Function
    from hypha.hub.hub import Hub
    from hypha.registry.applications import Applications, ApplicationSource
    from hypha.registry.calling import Calling
    from hypha.registry.offering import Offering
    from hypha.registry.records import ServiceRecord
    from hypha.registry.sources import ServiceSource
    from hypha.store.repository import Connections
    from hypha.store.usage import Quota, Usage
    from hypha.web.credentials import Credentials, TokenSource
    from hypha.web.destinations import Destinations
    from hypha.workspaces.lifecycle import Workspaces
    from hypha.workspaces.membership import Members
    from hypha.workspaces.quotas import Measure, Quotas

CALL_TIMEOUT_S = 30.0
CALL_BACK_TIMEOUT_S = 10.0
_NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ServicesPort:
    """Services of the server itself, who calls them, and calls of any service.

    `for_startup` are the functions that the server object of startup functions has in addition, `inside` the
    startup functions that are run before those of the operator.
    """

    _offering: Offering
    _hub: Hub
    _calling: Calling
    _applications: Applications
    for_startup: dict[str, Callable[..., Any]] = field(default_factory=dict)
    inside: list[str] = field(default_factory=list)

    def offer(
        self, service: BuiltinService, *, workspace: str = "public", visibility: str = "public"
    ) -> None:
        """Make a service callable under `<workspace>/<server_id>:<id>`, over RPC and HTTP.

        Offered again, a service takes the place of the one of that id.
        """
        self._offering.offer(service, workspace=workspace, visibility=visibility)

    async def call(
        self,
        service: str,
        function: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] = _NO_ARGUMENTS,
        *,
        context: Context,
        mode: str | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Any:
        """Call a function of a service, wherever it runs, as somebody who may do that itself.

        Args:
            service: any form of its id; what it leaves out is completed by where the caller is.
            function: its name, dotted where it lies deeper.
            context: of the call that is being answered, never one with more rights.
            mode: which of several services is meant; see `Selection.choose`.
            timeout_s: of silence of a client.

        Raises:
            InvalidAddress, ServiceNotFound, AmbiguousService, PermissionDenied: there is no such service for
                the caller. Further as `Calling.call`.
        """
        context.require_valid()
        record = await self._calling.find(ServiceQuery.parse(service, context.workspace), context, mode)
        return await self._calling.call(record, function, args, kwargs, context, timeout_s)

    async def call_as_server(
        self,
        record: ServiceRecord,
        function: str,
        args: Sequence[Any],
        *,
        context: Context,
        timeout_s: float,
        callbacks: Mapping[str, Function] = _NO_ARGUMENTS,
    ) -> Any:
        """Call a client's function from the manager's address, in the name of somebody who need not be let.

        For services that are made to be called by the server: the feature has checked what is asked of it.
        See `Calling.call_as_server`.
        """
        return await self._calling.call_as_server(record, function, args, context, timeout_s, callbacks)

    async def describe(self, record: ServiceRecord, timeout_s: float) -> Mapping[str, Any]:
        """The service map as its provider encodes it; see `Calling.fetch`."""
        return await self._calling.fetch(record, timeout_s)

    async def pick(self, records: Sequence[ServiceRecord], mode: str, *, context: Context) -> ServiceRecord:
        """One of several services by a mode; see `Selection.pick`."""
        return await self._calling.pick(records, mode, context)

    @staticmethod
    def is_callback(value: object, context: Context) -> bool:
        """Whether an argument of a call is a function of the client that called."""
        return is_function_of(value, context)

    async def call_back(
        self,
        function: object,
        args: Sequence[Any],
        *,
        context: Context,
        timeout_s: float = CALL_BACK_TIMEOUT_S,
        workspace: str = "public",
    ) -> None:
        """Call a function that came with a call, while that call runs.

        Args:
            context: of that call. workspace: in which the service that was called is offered.

        Raises:
            InvalidArguments: it is no function of the caller's own. CallFailed: it failed.
            NotDelivered, OutcomeUnknown, CallTimedOut: the caller is gone, or does not answer.
        """
        await self._offering.call_back(function, args, context, timeout_s, workspace)

    def know_applications(self, source: ApplicationSource) -> None:
        """Check app ids, and choose among services of an application, by the manifests that are found there.

        Raises:
            ConfigurationError: another feature keeps such manifests.
        """
        self._applications.ask(source)

    def add_source(self, source: ServiceSource) -> None:
        """Look for services there, where no running one is found."""
        self._calling.add_source(source)

    def note_program(self, workspace: str, client_id: str, app_id: str) -> None:
        """Take services of a client, that say nothing else, for those of an application."""
        self._applications.note_program(workspace, client_id, app_id)

    def forget_program(self, workspace: str, client_id: str) -> None:
        """Don't do so any more."""
        self._applications.forget_program(workspace, client_id)

    def retire_program(self, workspace: str, client_id: str) -> None:
        """Choose others for look-ups, where there are some: this one is about to stop."""
        self._applications.retire_program(workspace, client_id)

    def trying_application(self, workspace: str, app_id: str) -> AbstractContextManager[None]:
        """Take the app id of a draft meanwhile, as that of an application."""
        return self._applications.trying(workspace, app_id)

    def extend_server_object(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Give functions to the server object of startup functions, for those with the role admin."""
        self.for_startup.update(functions)

    def run_inside(self, function: str) -> None:
        """Run a startup function (`module:function`) once the server serves, such as that of a worker."""
        self.inside.append(function)

    def has_left(self, caller: Context) -> bool:
        """True for a connected caller that is gone; of callers by HTTP it is not known."""
        if caller.connection_type == "http" or not caller.client_id:
            return False
        client = self._hub.client(caller.workspace, caller.client_id)
        return client is None or client.ended


@dataclass(frozen=True, slots=True)
class HttpPort:
    """Routes of features, and where and how the token of a caller is found and read.

    `credentials` says whose request it is; `destinations` checks where a person may be led afterwards.
    `pages` are the routes of pages that somebody else wrote.
    Tokens are read alike for requests, WebSockets and streams.
    """

    credentials: Credentials
    destinations: Destinations
    _tokens: TokenAuthority
    _routes: list[BaseRoute] = field(default_factory=list)
    _last: list[BaseRoute] = field(default_factory=list)
    pages: list[BaseRoute] = field(default_factory=list)

    def add_routes(self, *routes: BaseRoute, last: bool = False) -> None:
        """Answer requests, before the gateways do; with `last` what no other route of a feature answers."""
        (self._last if last else self._routes).extend(routes)

    def add_pages(self, *routes: BaseRoute) -> None:
        """Answer with what somebody else wrote, also on the origin that applications have for themselves."""
        self.pages.extend(routes)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """All routes of features, in the order in which they are tried."""
        return [*self._routes, *self._last]

    def accept_token_in(self, *, header: bytes, cookie: bytes) -> None:
        """Look for tokens in a header, after `Authorization`, and in a cookie, before that of the session."""
        self.credentials.accept_header(header)
        self.credentials.accept_cookie(cookie)

    def add_token_source(self, source: TokenSource) -> None:
        """Ask a function for the token of a request, before those that came earlier and all headers."""
        self.credentials.ask_first(source)

    def read_tokens_with(self, parse: ParseToken) -> None:
        """Ask a function whose token it is, before those that came earlier and the server itself."""
        self._tokens.hooks.read_with(parse)

    def make_tokens_with(self, generate: GenerateToken) -> None:
        """Let a function make tokens, in place of the one before."""
        self._tokens.hooks.make_with(generate)

    def accept_foreign_tokens(self, foreign: ForeignTokens) -> None:
        """Accept the tokens that providers have signed.

        Raises:
            ConfigurationError: another feature reads such tokens.
        """
        self._tokens.accept_foreign(foreign)


@dataclass(frozen=True, slots=True)
class DataPort:
    """What lasts: records in the database, files, and secrets.

    `connections` gives connections to read from and transactions to write in; `usage` counts what a workspace
    keeps, in the transaction that keeps it. `folder` is the data folder, None where nothing is kept.
    """

    connections: Connections
    usage: Usage
    folder: Path | None
    _quotas: Quotas
    _secret: Callable[[str], str]

    def bound(self, kind: str, shown: str, quota: Quota, measure: Measure | None = None) -> None:
        """Bound a kind of what workspaces keep; `kind` as `usage` counts it, `shown` as people see it.

        `measure` tells number and bytes of a workspace where `usage` doesn't count them.
        """
        self._quotas.declare(kind, shown, quota, measure)

    def secret(self, name: str) -> str:
        """The secret of this name, made at first use, the same after a restart."""
        return self._secret(name)


@dataclass(frozen=True, slots=True)
class TasksPort:
    """Work beside the calls of clients."""

    _background: Background

    def start(self, work: Coroutine[Any, Any, Any], what: str) -> bool:
        """Run work that nobody waits for; it is cancelled and awaited when the server stops.

        Its failure is logged under `what`. False, and nothing is run, when the server runs too much already.
        """
        return self._background.start(work, what)


@dataclass(frozen=True, slots=True)
class EventsPort:
    """What happens to workspaces and clients that a feature may have kept something for."""

    _workspaces: Workspaces
    _members: Members

    def on_workspace_ended(
        self, hear: Callable[[str], Awaitable[None]], *, stored_only: bool = False
    ) -> None:
        """Call `hear` with the id of each workspace that ends, whichever way: see `Endings`."""
        self._workspaces.endings.follow(hear, stored_only=stored_only)

    def on_client_ended(self, hear: Callable[[str, str], None]) -> None:
        """Call `hear` with workspace and id of each client whose state ends; it must return at once."""
        self._members.follow(hear)

    def on_service_added(self, hear: Callable[[ServiceRecord], None]) -> None:
        """Call `hear` with each service that is registered, also anew; it must return at once."""
        self._members.registry.follow(hear)
