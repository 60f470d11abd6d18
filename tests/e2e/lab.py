"""Services for the tests: a small one, and a provider with every kind of function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any


def hello(name: str = "you") -> str:
    """Say hello.

    Args:
        name: who is greeted
    """
    return f"hello {name}"


def service(name: str = "svc", answer: str | None = None, **config: Any) -> dict[str, Any]:
    """A small service; `answer` replaces the greeting."""
    return {"id": name, "config": config, "hello": hello if answer is None else lambda: answer}


def ids(services: list[Any]) -> list[str]:
    """The names of services of users in a listing."""
    return [entry["id"] for entry in services if not entry["id"].endswith(":built-in")]


class Lab:
    """A provider with every kind of function, a second client of its workspace, and a stranger."""

    def __init__(self, provider: Any, consumer: Any, stranger: Any) -> None:
        self.provider, self.consumer, self.stranger = provider, consumer, stranger
        self.workspace = provider.config.workspace
        self.closed_generators = 0
        self.received: list[Any] = []
        self.service: Any = None
        self.public_service: Any = None

    async def register(self) -> None:
        """Register the service twice: `lab` for the workspace, `lab-public` for everybody."""
        for name, visibility in (("lab", "protected"), ("lab-public", "public")):
            config = {"visibility": visibility, "require_context": ["whoami"]}
            await self.provider.register_service({"id": name, "config": config, **self.functions()})
        self.service = await self.consumer.get_service("lab")
        self.public_service = await self.stranger.get_service(f"{self.workspace}/lab-public")

    def functions(self) -> dict[str, Any]:  # noqa: C901
        """The functions of the service."""

        def add(a: Any, b: Any = 10, *, c: Any = 0) -> Any:
            return a + b + c

        async def async_add(a: float, b: float) -> float:
            return a + b

        def fail(text: str) -> None:
            raise ValueError(text)

        async def async_fail(text: str) -> None:
            raise KeyError(text)

        def whoami(context: Any = None) -> dict[str, Any]:
            known = {
                key: context.get(key) for key in ("from", "to", "ws", "type", "method", "connection_type")
            }
            return {**known, "user": context["user"]["id"]}

        async def call_back(function: Callable[..., Any], values: list[Any]) -> list[Any]:
            return [await function(value) for value in values]

        def numbers(n: int) -> Iterator[int]:
            try:
                yield from range(n)
            finally:
                self.closed_generators += 1

        async def async_numbers(n: int) -> AsyncIterator[int]:
            try:
                for number in range(n):
                    yield number
            finally:
                self.closed_generators += 1

        async def broken_numbers() -> AsyncIterator[int]:
            yield 1
            raise RuntimeError("no more numbers")

        async def slow(seconds: float) -> str:
            await asyncio.sleep(seconds)
            return "done"

        async def read_stream(stream: Any) -> bytes:
            return bytes(await stream.read())

        async def use_interface(interface: Any) -> list[Any]:
            result = [await interface.double(4)]
            await interface._dispose()
            try:
                await interface.double(4)
            except Exception:
                return [*result, "gone"]
            return [*result, "alive"]

        return {
            "add": add, "async_add": async_add, "fail": fail, "async_fail": async_fail, "whoami": whoami,
            "echo": lambda value: value, "size": len, "call_back": call_back, "numbers": numbers,
            "slow": slow, "async_numbers": async_numbers, "broken_numbers": broken_numbers,
            "read_stream": read_stream,
            "make": lambda size: b"x" * size, "use_interface": use_interface, "collect": self.received.append,
            "make_adder": lambda a: lambda b: a + b,
            "nested": {"deep": {"add": add}, "constant": 42}, "tools": [add, lambda value: value],
        }  # fmt: skip
