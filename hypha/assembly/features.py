"""Finds the features that are listed, starts them in the order of their needs, and stops them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypha.errors import ConfigurationError
from hypha.features import FEATURES
from hypha.features.base import Feature, FeatureContext, Objects, PromptNames
from hypha.features.ports import DataPort, EventsPort, HttpPort, ServicesPort, TasksPort
from hypha.plugs import class_in
from hypha.web.destinations import Destinations

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from hypha.assembly.core import Core
    from hypha.assembly.endings import Endings
    from hypha.assembly.tenants import Tenants

logger = logging.getLogger(__name__)

Features = Sequence[type[Feature]]


@dataclass(frozen=True, slots=True)
class Plugged:
    """The features that were started, and what they gave to the server.

    `pages` are routes of what other people wrote. `for_startup` are functions for the server object of
    startup functions, `inside` startup functions that features want to be run, `notes` lines for whoever
    starts the server.
    """

    features: Sequence[Feature]
    routes: Sequence[BaseRoute]
    pages: Sequence[BaseRoute]
    for_startup: Mapping[str, Any]
    inside: Sequence[str]
    notes: Sequence[str]

    async def wind_down(self) -> None:
        """Let features end what they do with clients, those first that were started last."""
        for feature in reversed(self.features):
            try:
                await feature.wind_down()
            except Exception:
                logger.exception("The feature %s did not wind down", feature.name)


async def start_features(
    features: Features, core: Core, tenants: Tenants, prompt: PromptNames, endings: Endings
) -> Plugged:
    """Start all features in the order given.

    Raises:
        ConfigurationError: one cannot start so, or what it needs is not there.
    """
    started: list[Feature] = []
    notes: list[str] = []
    objects = objects_of(core, tenants, prompt)
    services = ServicesPort(core.offering, core.hub, tenants.calling, tenants.selection.sources.applications)
    destinations = Destinations.from_settings(core.settings, tenants.credentials.origins)
    http = HttpPort(tenants.credentials, destinations, core.tokens)
    data = DataPort(
        core.store, core.store.usage, core.folder.path, tenants.tenancy.quotas, core.folder.secret
    )
    tasks, events = TasksPort(core.background), EventsPort(tenants.workspaces, tenants.members)
    for make in features:
        feature = make()
        context = FeatureContext(
            core.settings, core.server_id, core.base_url, services, http, data, tasks, events,
            make, objects, notes,
        )  # fmt: skip
        await feature.start(context)
        endings.add(f"the feature {make.name}", feature.stop)
        started.append(feature)
    return Plugged(started, http.routes, http.pages, services.for_startup, services.inside, notes)


def objects_of(core: Core, tenants: Tenants, prompt: PromptNames) -> Objects:
    """The parts of the core that features may ask for by class."""
    objects = Objects()
    for found in (
        core.hub, core.tokens, core.guard, core.expected, core.rates, core.registry, tenants.workspaces,
        tenants.tenancy.catalogue, tenants.members, prompt,
    ):  # fmt: skip
        objects.provide(type(found), found, "core")
    return objects


def listed_features(names: Iterable[str] = FEATURES) -> Features:
    """The features of the server, with their tables declared."""
    return [class_in(f"hypha.features.{name}.feature", Feature) for name in names]


def words_of(features: Iterable[Feature | type[Feature]]) -> frozenset[str]:
    """First words of the routes of features, whether they are in use or not."""
    return frozenset(word for feature in features for word in feature.words)


def in_order(features: Features) -> list[type[Feature]]:
    """The features as they are to be started: after those that provide what they need or use, else as listed.

    Raises:
        ConfigurationError: two need each other.
    """
    providers = {kind: feature for feature in features for kind in feature.provides}
    placed: list[type[Feature]] = []

    def place(feature: type[Feature], waiting: tuple[type[Feature], ...]) -> None:
        if feature in waiting:
            raise ConfigurationError(f"The features {feature.name} and {waiting[-1].name} need each other.")
        for kind in (*feature.needs, *feature.uses):
            if kind in providers and providers[kind] not in placed:
                place(providers[kind], (*waiting, feature))
        if feature not in placed:
            placed.append(feature)

    for feature in features:
        place(feature, ())
    return placed
