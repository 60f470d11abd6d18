"""How features are found and ordered, and how they find each other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from hypha.assembly.features import in_order, listed_features
from hypha.errors import ConfigurationError
from hypha.features import FEATURES
from hypha.features.base import Feature, FeatureContext, Objects


class Lamp:
    pass


class Socket:
    pass


class House(Feature):
    name: ClassVar[str] = "house"
    provides = (Socket,)


class Desk(Feature):
    name: ClassVar[str] = "desk"
    needs = (Lamp,)
    uses = (Socket,)


class Shop(Feature):
    name: ClassVar[str] = "shop"
    needs = (Socket,)
    provides = (Lamp,)


def context_of(feature: type[Feature], objects: Objects) -> FeatureContext:
    """The context of a feature, of which only the objects are there."""
    context: Any = SimpleNamespace(_feature=feature, _objects=objects)
    for name in ("provide", "get", "find"):
        setattr(context, name, getattr(FeatureContext, name).__get__(context))
    return context  # type: ignore[no-any-return]


def test_every_line_is_a_feature_of_that_name() -> None:
    assert [feature.name for feature in listed_features()] == list(FEATURES)


def test_a_feature_starts_after_those_that_provide_what_it_needs_or_uses() -> None:
    assert in_order([Desk, Shop, House]) == [House, Shop, Desk]
    assert in_order([House, Shop, Desk]) == [House, Shop, Desk]


def test_what_nobody_provides_changes_no_order() -> None:
    assert in_order([Desk, Feature]) == [Desk, Feature]


def test_features_that_need_each_other_are_refused() -> None:
    class Circle(Feature):
        name: ClassVar[str] = "circle"
        needs = (Lamp,)
        provides = (Socket,)

    with pytest.raises(ConfigurationError, match="shop and circle need each other"):
        in_order([Shop, Circle])


def test_an_object_is_found_by_its_class() -> None:
    objects, socket = Objects(), Socket()
    assert context_of(Desk, objects).find(Socket) is None
    context_of(House, objects).provide(Socket, socket)
    assert context_of(Shop, objects).get(Socket) is socket
    assert context_of(Desk, objects).find(Socket) is socket


def test_what_is_needed_and_missing_is_named() -> None:
    with pytest.raises(ConfigurationError, match="The feature desk needs Lamp, which no other provides"):
        context_of(Desk, Objects()).get(Lamp)


def test_one_object_of_a_class_is_enough() -> None:
    objects = Objects()
    objects.provide(Socket, Socket(), "wall")
    with pytest.raises(ConfigurationError, match="wall and house both provide Socket"):
        context_of(House, objects).provide(Socket, Socket())


@pytest.mark.parametrize("use", ["get", "find"])
def test_what_is_not_declared_is_not_given(use: str) -> None:
    objects = Objects()
    objects.provide(Socket, Socket(), "house")
    with pytest.raises(TypeError, match="House"):
        getattr(context_of(House, objects), use)(Socket)
    with pytest.raises(TypeError, match="Desk"):
        context_of(Desk, objects).provide(Lamp, Lamp())
