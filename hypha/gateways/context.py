"""What gateways need of the server, filled in by the assembly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hypha.auth.audit import AuditLog
from hypha.auth.blocklist import Blocklist
from hypha.auth.users import Context
from hypha.hub.rates import Rates
from hypha.limits import Party, WaitingBytes
from hypha.observe.health import Health
from hypha.observe.metrics import Metrics
from hypha.registry.calling import Calling
from hypha.registry.records import ServiceRecord
from hypha.web.apps_origin import AppsOrigin
from hypha.web.client_address import TrustedProxies
from hypha.web.cors import CorsPolicy
from hypha.web.credentials import Credentials, WorkspaceRights
from hypha.web.downloads import Downloads
from hypha.web.headers import headers_of
from hypha.web.lasting import LastingAnswers
from hypha.web.ratelimits import RequestLimits
from hypha.web.running import Running
from hypha.web.scope import USER
from hypha.web.unread import UNREAD_ROOM
from hypha.web.uploads import Uploads
from hypha.web.workbench import Workbench

DEFAULT_MAX_BODY_BYTES = 64 * 1024 * 1024


def _knows_no_token(text: str) -> bool:
    return False


@dataclass(slots=True)
class GatewayContext:
    """Everything that requests are answered from, whatever they are translated from.

    `manager` is the record of the workspace manager; its `config` also feeds `/assets/config.json`.
    `inactive` maps the patterns of
    routes whose feature is not there (`/word`, `/{workspace}/word`) to the sentence that says so.
    `is_token` recognises credentials for this server by their text. `call_timeout_s` bounds the
    silence of a callee. `apps_origin`, where there is one, is the only place of clients' applications.
    `mounts` are the paths of the operator's own files. With `trust_apps`, pages of everybody's
    applications count as the server's own.
    """

    calling: Calling
    workspaces: WorkspaceRights
    credentials: Credentials
    manager: ServiceRecord
    health: Health
    metrics: Metrics
    running: Running
    uploads: Uploads
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
    downloads: Downloads = field(default_factory=Downloads)
    unread: WaitingBytes = field(default_factory=partial(WaitingBytes, UNREAD_ROOM))
    call_timeout_s: float = 30.0
    select_timeout_s: float = 2.0
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    expose_errors: bool = False
    trust_apps: bool = False
    mounts: Sequence[str] = ()

    def ask_manager(
        self, function: str, args: Sequence[Any], kwargs: Mapping[str, Any], context: Context
    ) -> Awaitable[Any]:
        """Call a function of the workspace manager."""
        return self.calling.call(self.manager, function, args, kwargs, context, self.call_timeout_s)

    async def party(self, scope: MutableMapping[str, Any]) -> Party:
        """Who pays for a request; tokens that somebody generated count as that person."""
        user = await self.credentials.verified_id(scope)
        if user is not None:
            user = scope[USER].person
        if user is not None:
            return Party.of(user, "")
        return Party.of(None, self.proxies.client_address(scope, headers_of(scope)))
