"""How a transport plugs in: what it is given, and the routes at which links of clients begin.

A transport is a module or folder here and a line in `hypha/transports/__init__.py`; it holds one subclass of
`Transport`. What it carries is a `Link`: behind an ASGI server a `QueuedLink`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hypha.transports.ratelimit import FrameRate

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import Scope

    from hypha.auth.users import User
    from hypha.settings import Settings
    from hypha.transports.reception import Reception
    from hypha.web.origins import Origins


@dataclass(frozen=True, slots=True)
class TransportContext:
    """What transports need of the server."""

    settings: Settings
    reception: Reception
    """Admits links."""
    address_of: Callable[[Scope], str]
    """The network address from which a request came, trusted proxies considered."""
    authenticate: Callable[[str], Awaitable[User]]
    """Turns a token into its user; NotAuthenticated for one that is not valid."""
    token_of: Callable[[Scope], Awaitable[str | None]]
    """Finds the token in the headers of a request."""
    origins: Origins

    def new_rate(self) -> FrameRate | None:
        """What slows the frames of one new link, as the operator has set it."""
        return FrameRate.from_settings(self.settings, self.reception.hub.clock)


class Transport(ABC):
    """A way to the hub that can be removed by deleting its module and its line."""

    name: ClassVar[str]
    """The name of its module or folder."""
    streams: ClassVar[tuple[str, ...]] = ()
    """Paths on which its links run inside HTTP requests: they are counted as links, not as requests."""

    def __init__(self, context: TransportContext) -> None:
        self.context = context

    @abstractmethod
    def routes(self) -> Sequence[BaseRoute]:
        """The routes, tried before all others; their first words are free for no workspace."""
