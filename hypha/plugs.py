"""What lists plug in: of each name one class, which the module of that name defines."""

from __future__ import annotations

from importlib import import_module
from typing import TypeVar

T = TypeVar("T")


def class_in(module: str, kind: type[T]) -> type[T]:
    """The one subclass of `kind` that a module defines."""
    (found,) = (
        each
        for each in vars(import_module(module)).values()
        if isinstance(each, type) and issubclass(each, kind) and each.__module__ == module
    )
    return found
