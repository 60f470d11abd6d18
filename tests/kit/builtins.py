"""Functions of services of the server, made of anything that can be called."""

from __future__ import annotations

import inspect
from typing import Any

from hypha.auth.scopes import Level
from hypha.builtins.service import BuiltinFunction


def function(call: Any, level: Level = Level.NONE) -> BuiltinFunction:
    parameters = [p for n, p in inspect.signature(call).parameters.items() if n != "context"]
    return BuiltinFunction(call.__name__, call, "", {}, level, inspect.Signature(parameters))
