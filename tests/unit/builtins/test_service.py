"""Services of the server itself: arguments that do not fit are the caller's mistake."""

from __future__ import annotations

import asyncio
import re
import textwrap
from dataclasses import replace
from typing import Any

import pytest

from hypha import builtins
from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.builtins.permission import permission
from hypha.builtins.service import BuiltinService
from hypha.errors import InvalidArguments, PermissionDenied
from hypha.limits.pace import Pace


class Words:
    """Words."""

    async def shout(self, word: str, times: int = 1, *, context: Context) -> str:
        """Say it loudly."""
        return word.upper() * times

    async def broken(self, word: str, *, context: Context) -> str:
        """A fault of our own."""
        raise AttributeError("ours")


CONTEXT = Context(User("anna", scope=Scope({"ws-user-anna": Level.ADMIN})), "ws-user-anna")


@pytest.mark.parametrize("args", [[3], [["a"]], ["a", "b"], ["a", 1.5], [True]])
async def test_wrong_types_over_which_a_function_stumbles_are_refused(args: list[Any]) -> None:
    with pytest.raises(InvalidArguments, match="must be of type"):
        await BuiltinService.of(Words(), id="words").invoke("shout", args, {}, CONTEXT)


async def test_a_fault_of_our_own_stays_one() -> None:
    with pytest.raises(AttributeError, match="ours"):
        await BuiltinService.of(Words(), id="words").invoke("broken", ["a"], {}, CONTEXT)


async def test_calls_that_come_at_once_begin_in_several_turns_of_the_loop() -> None:
    now, seen = 0.0, []  # type: tuple[float, list[str]]

    class Slow:
        """Slow."""

        async def think(self, name: str, *, context: Context) -> None:
            """Take a hundredth of a second."""
            nonlocal now
            now += 0.01
            seen.append(name)

    service = replace(BuiltinService.of(Slow(), id="slow"), pace=Pace(lambda: now))
    bert = replace(CONTEXT, user=replace(CONTEXT.user, id="bert"))
    calls = [asyncio.create_task(service.invoke("think", [f"a{n}"], {}, CONTEXT)) for n in range(200)]
    await asyncio.sleep(0)
    assert 1 <= len(seen) <= 5
    await asyncio.gather(*calls, service.invoke("think", ["bert"], {}, bert))
    assert seen.index("bert") < 20
    assert [name for name in seen if name != "bert"] == [f"a{n}" for n in range(200)]


async def test_the_example_on_how_to_add_a_function_runs() -> None:
    page = builtins.__doc__ or ""
    example = re.search(r"^    class Greeter:\n(?:(?:    .*)?\n)+", page, re.MULTILINE)
    assert example is not None
    namespace: dict[str, Any] = {"permission": permission, "Level": Level, "Context": Context}
    exec(textwrap.dedent(example.group()), namespace)
    service = BuiltinService.of(namespace["Greeter"](), id="greeter")
    assert await service.invoke("greet", ["Anna"], {"times": 2}, CONTEXT) == "Hello Anna! Hello Anna! "
    described = service.functions["greet"].schema
    assert described["parameters"]["properties"]["name"]["description"] == "Who is greeted, such as `Anna`."
    with pytest.raises(PermissionDenied):
        await service.invoke("greet", ["Anna"], {}, replace(CONTEXT, workspace="ws-user-bert"))
