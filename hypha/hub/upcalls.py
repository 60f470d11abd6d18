"""What the hub asks and tells the layers above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hypha.auth.users import Context
    from hypha.hub.client import Client
    from hypha.wire.frames import Buffer, Frame


class MembersPort(Protocol):
    """What the layers above do when clients come and go, and what they know of services."""

    def services_end(self, client: Client) -> None:
        """Remove the client's services; called before its callers are told."""

    def client_ended(self, client: Client) -> None:
        """Send the events and release what was kept; called after its callers were told."""

    def client_moved(self, client: Client) -> None:
        """Release what was kept for a client that goes on at another replica; nobody need hear of it."""

    def may_call(self, sender: Client, target: Client, method: str) -> bool:
        """Whether a client of another workspace may call `services.<name>…` of a client."""

    def may_follow(self, caller: Context, target: Client, method: str) -> bool:
        """Whether `services.<name>…` is of a registered service that the caller may call itself."""


class Elsewhere(Protocol):
    """The other replicas."""

    def seek(self, sender: Client, address: str, data: Buffer) -> bool:
        """Take a frame for somebody who is not here; it is routed again when more is known.

        False: there is nobody at that address.
        """

    def publish(self, workspace: str, kind: str, frame: Frame) -> None:
        """Send an event to the clients of a workspace there, too."""

    def end(self, mirror: Client, why: str) -> None:
        """Forget a client of another replica; its callers are told."""


class NothingAbove:
    """A hub on its own: no service is registered, so no client may call one of another workspace."""

    def services_end(self, client: Client) -> None:
        """It has none."""

    def client_ended(self, client: Client) -> None:
        """Nothing above hears of it."""

    def client_moved(self, client: Client) -> None:
        """Nothing above hears of it."""

    def may_call(self, sender: Client, target: Client, method: str) -> bool:
        """No."""
        return False

    def may_follow(self, caller: Context, target: Client, method: str) -> bool:
        """No."""
        return False


def _gather_nothing() -> None:
    """Every frame is written at once."""


def _note_nothing(client: Client, workspace: str, what: str) -> None:
    """There is no audit log."""


@dataclass(slots=True)
class Upcalls:
    """The layers above, as far as the hub knows them; they put themselves in when they are made."""

    membership: MembersPort = field(default_factory=NothingAbove)
    """Who keeps workspaces and services in step with the clients."""
    on_refused: Callable[[Client, str, str], None] = _note_nothing
    """Hears of a frame that was refused: its sender, the workspace to which it went, what it was."""
    elsewhere: Elsewhere | None = None
    """The other replicas; None for a server that has none."""
    gather_turn: Callable[[], None] = _gather_nothing
    """Lets transports write what is sent until this turn of the event loop ends together."""
