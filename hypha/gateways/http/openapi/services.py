"""What is described: a service under the address by which its functions are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypha.registry.described import DescribedFunction


@dataclass(frozen=True, slots=True)
class DescribedService:
    """One service and what is known of its functions."""

    workspace: str
    address: str
    title: str
    description: str = ""
    docs: str = ""
    needs_token: bool = False
    functions: tuple[DescribedFunction, ...] = field(default=())

    @classmethod
    def of(
        cls,
        workspace: str,
        address: str,
        info: Mapping[str, Any],
        functions: Callable[[], tuple[DescribedFunction, ...]],
    ) -> DescribedService:
        """From a service info map; `address` is what stands between `/services/` and the function."""
        config = info.get("config") or {}
        return cls(
            workspace,
            address,
            _text(info.get("name")) or address,
            _text(info.get("description")),
            _text(info.get("docs")),
            config.get("visibility") == "protected",
            functions(),
        )


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
