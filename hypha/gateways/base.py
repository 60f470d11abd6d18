"""How a gateway plugs in: what it is given, and the routes that it gives.

A gateway is a folder here and a line in `hypha/gateways/__init__.py`. Its `gateway.py` holds one subclass of
`Gateway`. When a request reaches its routes, the edge has checked the grammar, the address, the rates and the
room for it, and answers what a route raises; whose request it is, `context.credentials` says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from starlette.routing import BaseRoute

from hypha.gateways.context import GatewayContext


class Gateway(ABC):
    """A translator that can be removed by deleting its folder and its line."""

    name: ClassVar[str]
    """The name of its folder."""
    is_for_applications: ClassVar[bool] = False
    """Whether it answers on the origin that applications have for themselves, where nothing else does."""

    def __init__(self, context: GatewayContext) -> None:
        self.context = context

    @abstractmethod
    def routes(self) -> Sequence[BaseRoute]:
        """The routes, tried after those of features and before the core's own.

        One whose first word is literal keeps that word: no workspace may have it as its id.
        """
