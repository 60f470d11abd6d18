"""A tenancy on a database in memory, with a clock and timers that a test moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import Context, User
from hypha.settings.quotas import Quotas as QuotaSettings
from hypha.store import Seal, Store
from hypha.wire.handshake import FirstMessage
from hypha.workspaces.admission import Admission, Identity
from hypha.workspaces.bookmarks import Bookmarks
from hypha.workspaces.catalogue import Catalogue
from hypha.workspaces.environment import Environment
from hypha.workspaces.event_log import EventLog
from hypha.workspaces.lifecycle import Workspaces
from hypha.workspaces.quotas import Quotas
from hypha.workspaces.service_types import ServiceTypes
from tests.kit.clock import Clock

SECRET = "a-secret-of-the-tests-which-is-long-enough"
ROOT_TOKEN = "an-opaque-credential-of-more-than-32-characters"


@dataclass
class Settings:
    """The settings that concern workspaces."""

    workspace_unload_grace_period_s: float = 0.0
    resume_window_s: float = 90.0
    max_workspaces_per_user: int = 3
    enable_s3_for_anonymous_users: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(QuotaSettings, name)


class Tenants:
    """All parts of tenancy on one store; `queries` counts what reached the database."""

    def __init__(self, store: Store, settings: Settings | None = None, **quotas: float) -> None:
        self.store = store
        self.settings = settings or Settings()
        vars(self.settings).update(quotas)
        self.clock = Clock()
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.deleted: list[str] = []
        self.tokens = TokenAuthority(SECRET, root_token=ROOT_TOKEN)
        self.workspaces = Workspaces(
            store,
            self.settings,
            publish=lambda *event: self.events.append(event),
            has_ended=self.tokens.revocations.ends,
            quotas=Quotas(self.settings),
            call_later=self.clock.call_later,
            clock=self.clock.time,
        )
        self.catalogue = Catalogue(
            self.workspaces,
            store,
            self.settings.max_workspaces_per_user,
            lambda *event: self.events.append(event),
            self.deleted.append,
        )
        self.event_log = EventLog(self.workspaces, store)
        self.environment = Environment(self.workspaces, store, Seal(SECRET), self.event_log)
        self.service_types = ServiceTypes(self.workspaces, store)
        self.bookmarks = Bookmarks(self.workspaces, store)
        self.admission = Admission(self.tokens, self.workspaces)

    async def connect(self, client_id: str = "c1", **first: str | None) -> Identity:
        """Admit a client and let it join."""
        identity = await self.admission.identify(FirstMessage(client_id, **first))
        self.workspaces.client_joined(identity.workspace)
        return identity

    async def leave(self, identity: Identity) -> None:
        """Let a client leave, and wait for what follows."""
        self.workspaces.client_left(identity.workspace)
        await self.settle()

    async def settle(self) -> None:
        """Wait for work in the background."""
        await self.workspaces._background.settled()

    def token(self, user: User, life_s: float = 600.0) -> str:
        """A token of a user."""
        return self.tokens.mint(user, life_s)

    def restarted(self) -> Tenants:
        """The tenancy of a server that starts on the same store."""
        return Tenants(self.store, self.settings)


def person(name: str, **fields: Any) -> User:
    """A registered user with a token for the own workspace."""
    own = f"ws-user-{name}"
    scope = fields.pop("scope", Scope({own: Level.ADMIN}))
    return User(name, scope=scope, **fields)


def acting(user: User, workspace: str | None = None, level: Level = Level.ADMIN) -> Context:
    """A user that is connected to a workspace."""
    workspace = workspace or user.own_workspace
    return Context(user.within(workspace, "c1", level), workspace, "c1")
