"""Services described from their own code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.builtins.schema import parse_docstring, type_schema
from hypha.builtins.service import BuiltinService
from hypha.errors import FunctionNotFound, InvalidArguments

MEMBER = Context(User("anna", scope=Scope({"w": Level.ADMIN}, "w", "me")), "w", "me")


class Greeter:
    """Says hello
    to people.
    """

    async def greet(self, name: str, times: int = 1, *, context: Context) -> str:
        """Greet somebody.

        More about it.

        Args:
            name: Who is greeted,
                in full.
            times: How often.

        Returns:
            The greeting.
        """
        return f"{context.workspace}: " + f"hello {name} " * times

    async def anything(
        self, data: Any = None, options: dict[str, int] | None = None, *, context: Context
    ) -> Any:
        return data

    async def _hidden(self, *, context: Context) -> None: ...

    def sync(self) -> None: ...


async def test_coroutines_become_functions() -> None:
    service = BuiltinService.of(Greeter(), id="greeter", config={"visibility": "public"})
    assert service.description == "Says hello to people."
    assert list(service.functions) == ["anything", "greet"]
    assert service.functions["greet"].schema == {
        "name": "greet",
        "description": "Greet somebody.\n\nMore about it.",
        "parameters": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "description": "Who is greeted, in full."},
                "times": {"type": "integer", "description": "How often.", "default": 1},
            },
            "required": ["name"],
        },
    }
    assert await service.invoke("greet", ["you"], {}, MEMBER) == "w: hello you "


@pytest.mark.spec("core-R8")
async def test_context_from_outside_is_ignored() -> None:
    service = BuiltinService.of(Greeter(), id="greeter")
    forged = {"name": "you", "context": {"ws": "x"}}
    assert await service.invoke("greet", [], forged, MEMBER) == "w: hello you "


async def test_wrong_calls_are_refused() -> None:
    service = BuiltinService.of(Greeter(), id="greeter")
    for args, kwargs in (([], {}), (["a", 1, 2], {}), (["a"], {"odd": 1})):
        with pytest.raises(InvalidArguments):
            await service.invoke("greet", args, kwargs, MEMBER)
    for name in ("_hidden", "sync", "__init__", "greet.x"):
        with pytest.raises(FunctionNotFound):
            await service.invoke(name, [], {}, MEMBER)


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (str, {"type": "string"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None | str, {"type": "string"}),
        (str | list[str], {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        (str | Any, {}),
        (Sequence[int], {"type": "array", "items": {"type": "integer"}}),
        (Mapping[str, Any], {"type": "object"}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Any, {}),
        (bytes, {}),
        (object, {}),
        (Annotated[float | None, {"minimum": 0}], {"type": "number", "minimum": 0}),
    ],
)
def test_type_hints_become_json_schema(hint: Any, expected: dict[str, Any]) -> None:
    assert type_schema(hint) == expected


def test_docstrings_may_be_missing() -> None:
    assert parse_docstring(None) == ("", {})
    assert BuiltinService.of(Greeter(), id="g").functions["anything"].level is Level.NONE
