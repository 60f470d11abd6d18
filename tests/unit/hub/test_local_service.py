"""Services of the server itself: arguments that do not fit are the caller's mistake."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.auth.scopes import Level, Scope
from hypha.auth.users import Context, User
from hypha.errors import InvalidArguments
from hypha.registry.schema import local_service


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
        await local_service(Words(), id="words").invoke("shout", args, {}, CONTEXT)


async def test_a_fault_of_our_own_stays_one() -> None:
    with pytest.raises(AttributeError, match="ours"):
        await local_service(Words(), id="words").invoke("broken", ["a"], {}, CONTEXT)
