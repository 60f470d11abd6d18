"""What one bound is: how much of something somebody may have, and what happens then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

QUOTA = "`QuotaExceeded`; a tenth of it in workspaces of anonymous users (`HYPHA_ANONYMOUS_QUOTA_SHARE`)"
"""What happens where workspaces have quotas."""


class Section(StrEnum):
    """The parts of the table, as they are headed."""

    CONNECTIONS = "Connections"
    MESSAGES = "Messages"
    REQUESTS = "Requests by HTTP"
    STORED = "What is kept"
    PEOPLE = "Tokens and accounts"


@dataclass(frozen=True, slots=True)
class Bound:
    """One row of the table.

    Args:
        name: what its test is called.
        resource: what is bounded. each: for whom the numbers hold.
        then: what happens when it is reached.
        at: where the numbers stand: names of options, and paths of constants such as `hypha.hub.events.NAME`.
    """

    name: str
    resource: str
    each: str
    then: str
    at: tuple[str, ...]

    @property
    def options(self) -> tuple[str, ...]:
        """The options that set it."""
        return tuple(name for name in self.at if "." not in name)

    @property
    def constants(self) -> tuple[str, ...]:
        """The constants that fix it."""
        return tuple(name for name in self.at if "." in name)
