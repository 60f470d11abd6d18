"""What the HTTP gateway needs of the server, filled in by the assembly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hypha.addresses import ServiceQuery
from hypha.auth.audit import AuditLog
from hypha.auth.blocklist import Blocklist
from hypha.auth.users import Context
from hypha.builtins.service import BuiltinService
from hypha.gateways.http.cors import CorsPolicy
from hypha.gateways.http.workbench import Workbench
from hypha.hub.callbacks import Function, Session
from hypha.hub.rates import Rates
from hypha.observe.health import Health
from hypha.observe.metrics import Metrics
from hypha.registry.balance import Peer as Caller
from hypha.web.apps_origin import AppsOrigin
from hypha.web.client_address import TrustedProxies
from hypha.web.credentials import Credentials, WorkspaceRights
from hypha.web.headers import headers_of
from hypha.web.lasting import LastingAnswers
from hypha.web.ratelimits import RequestLimits
from hypha.web.running import Party, Running
from hypha.web.uploads import Uploads

DEFAULT_MAX_BODY_BYTES = 64 * 1024 * 1024


class Peer(Caller, Protocol):
    """The in-process client through which HTTP callers call services (`hub.http_peer`)."""

    def session(self, target: str, functions: Mapping[str, Function], context: Context) -> Session:
        """Functions that the client `target` may call back during one call on behalf of `context`."""

    def iterate(
        self, generator_value: Mapping[str, Any], *, timeout_s: float = 30.0, context: Context | None = None
    ) -> AsyncIterator[Any]:
        """Pull the items of a generator result; closes it on early exit."""


class FoundService(Protocol):
    """A service record as far as the gateway reads it."""

    @property
    def workspace(self) -> str:
        """Workspace of the provider."""

    @property
    def client_id(self) -> str:
        """The provider."""

    @property
    def name(self) -> str:
        """Service name within its client."""

    @property
    def type(self) -> str:
        """What kind of service it is, such as `generic`, `asgi` or `functions`."""

    @property
    def service_schema(self) -> Any:
        """Schemas of the functions, nested like the service itself."""

    @property
    def user_id(self) -> str:
        """The user who registered it."""

    @property
    def limit(self) -> str | None:
        """The only workspace that the credential reached with which it was registered; None for no limit."""

    @property
    def is_inner(self) -> bool:
        """True for code of the server process itself."""

    def to_info(self, viewer: Context | None = None) -> dict[str, Any]:
        """The service info that this viewer may read."""


class Selector(Protocol):
    """Chooses one service among those that match and that the caller may use."""

    async def choose(
        self,
        query: ServiceQuery,
        context: Context,
        mode: str | None = None,
        select_timeout_s: float = 2.0,
    ) -> FoundService:
        """The chosen record, or ServiceNotFound, PermissionDenied, AmbiguousService."""


LocalLookup = Callable[[str, str, str], BuiltinService | None]


def _knows_no_token(text: str) -> bool:
    return False


def _no_local_service(workspace: str, client_id: str, name: str) -> None:
    return None


@dataclass(slots=True)
class HttpServices:
    """Everything that HTTP requests are answered from.

    `manager` is the workspace manager as a local service; its `config` also feeds
    `/assets/config.json`. `find_local` gives the service of a peer inside the server by workspace,
    client id and name, which is then called without a frame. `inactive` maps the patterns of
    routes whose feature is not there (`/word`, `/{workspace}/word`) to the sentence that says so.
    `is_token` recognises credentials for this server by their text. `call_timeout_s` bounds the
    silence of a callee. `apps_origin`, where there is one, is the only place of clients' applications.
    `mounts` are the paths of the operator's own files. With `trust_apps`, pages of everybody's
    applications count as the server's own.
    """

    peer: Peer
    selection: Selector
    workspaces: WorkspaceRights
    credentials: Credentials
    manager: BuiltinService
    health: Health
    metrics: Metrics
    running: Running
    uploads: Uploads
    find_local: LocalLookup = _no_local_service
    is_token: Callable[[str], bool] = _knows_no_token
    limits: RequestLimits | None = None
    lasting: LastingAnswers = field(default_factory=LastingAnswers)
    blocklist: Blocklist = field(default_factory=Blocklist)
    audit: AuditLog | None = None
    rates: Rates | None = None
    proxies: TrustedProxies = field(default_factory=TrustedProxies)
    cors: CorsPolicy = field(default_factory=CorsPolicy)
    apps_origin: AppsOrigin | None = None
    base_path: str = ""
    public_base_url: str = ""
    version: str = ""
    inactive: Mapping[str, str] = field(default_factory=dict)
    workbench: Workbench = field(default_factory=Workbench)
    call_timeout_s: float = 30.0
    select_timeout_s: float = 2.0
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    expose_errors: bool = False
    trust_apps: bool = False
    mounts: Sequence[str] = ()

    async def party(self, scope: MutableMapping[str, Any]) -> Party:
        """Who pays for a request; tokens that somebody generated count as that person."""
        user = await self.credentials.verified_id(scope)
        if user is not None:
            user = scope["hypha.user"].parent or user
        return Party.of(user, "" if user else self.proxies.client_address(scope, headers_of(scope)))
