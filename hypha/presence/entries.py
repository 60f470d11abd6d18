"""What replicas know of each other's clients and services; plain values."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReplicaEntry:
    """A replica whose lease lasts; `facts` is what it tells of itself, packed, such as its address."""

    replica: str
    facts: bytes = b""


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """A client and the replica where it is.

    `replica` and `generation` are set by the presence. The generation is that of the client's stay at a
    replica: links on which it resumes there keep it; a stay elsewhere, or a successor under its id, has a
    larger one. `facts` is what its replica tells of it, packed; nobody looks into it here.
    """

    workspace: str
    client_id: str
    user_id: str
    is_live: bool = True
    """False between two of its links."""
    facts: bytes = b""
    replica: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """A service of a client.

    `generation` says of which stay of its client it is. `order` grows with registration in a workspace, and
    `is_live` and `replica` are those of its client: all three are set by the presence. `record` is the
    service as the registry knows it, packed; nobody looks into it here.
    """

    workspace: str
    client_id: str
    name: str
    generation: int
    type: str = "generic"
    app_id: str = "*"
    is_public: bool = False
    """Whether it is found by those who ask without a workspace."""
    is_singleton: bool = False
    """Whether it claims to be the only one of its name in the workspace."""
    is_built_in: bool = False
    """Whether it is the endpoint that every client hosts: not counted, and no rival of others."""
    record: bytes = b""
    order: int = 0
    is_live: bool = True
    replica: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it unique: workspace, client and name, whatever its app."""
        return self.workspace, self.client_id, self.name


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which services are asked for; None leaves a part open, without a workspace to public ones alone."""

    workspace: str | None = None
    client_id: str | None = None
    name: str | None = None
    type: str | None = None
    app_id: str | None = None

    def matches(self, service: ServiceEntry) -> bool:
        """True if the service has every part that is given."""
        return (
            (service.is_public if self.workspace is None else service.workspace == self.workspace)
            and (self.client_id is None or service.client_id == self.client_id)
            and (self.name is None or service.name == self.name)
            and (self.type is None or service.type == self.type)
            and (self.app_id is None or service.app_id == self.app_id)
        )


@dataclass(frozen=True, slots=True)
class Room:
    """How many services there may be, and how many bytes their records may take; 0: as many as one likes."""

    count: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client and one workspace may offer."""

    client: Room = Room()
    workspace: Room = Room()


NO_LIMITS = Limits()


# -- what becomes of a wish --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entered:
    """The client is in, with this generation."""

    client: ClientEntry


@dataclass(frozen=True, slots=True)
class Taken:
    """The id belongs to another: nothing was changed."""

    by: ClientEntry


@dataclass(frozen=True, slots=True)
class Offered:
    """The service is found from now on.

    `replaced` had its key before. `displaced` were rivals of clients between two links, and have gone.
    """

    service: ServiceEntry
    replaced: ServiceEntry | None
    displaced: tuple[ServiceEntry, ...]


@dataclass(frozen=True, slots=True)
class Rival:
    """A live client offers one of this name, and one of the two is a singleton: nothing was changed."""

    by: ServiceEntry


@dataclass(frozen=True, slots=True)
class Full:
    """The client or the workspace would offer more than it may: nothing was changed."""

    is_workspace: bool
    room: Room


@dataclass(frozen=True, slots=True)
class Superseded:
    """The client's stay is over, or is another's: nothing was changed."""


# -- what others hear --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientEntered:
    """A client has come to another replica, in place of the stay of generation `before` if there was one.

    What services of that stay were not told to be withdrawn before are those of this one.
    """

    client: ClientEntry
    before: int | None


@dataclass(frozen=True, slots=True)
class ClientChanged:
    """A client of another replica has lost its link, or has one again, and so have its services."""

    client: ClientEntry


@dataclass(frozen=True, slots=True)
class ClientLeft:
    """A client has ended, after its services."""

    client: ClientEntry
    is_lost: bool = field(default=False, compare=False)
    """Whether it went with its replica, which can tell nobody of it."""


@dataclass(frozen=True, slots=True)
class ServiceOffered:
    """A service is new, or other than the one before."""

    service: ServiceEntry
    replaced: ServiceEntry | None


@dataclass(frozen=True, slots=True)
class ServiceWithdrawn:
    """A service is gone."""

    service: ServiceEntry
    is_lost: bool = field(default=False, compare=False)
    """Whether it went with its replica, which can tell nobody of it."""


@dataclass(frozen=True, slots=True)
class ReplicaEnded:
    """A replica is gone, after all that was its own; no answer will come from it."""

    replica: str


Change = ClientEntered | ClientChanged | ClientLeft | ServiceOffered | ServiceWithdrawn | ReplicaEnded
