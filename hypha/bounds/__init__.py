"""Every bound of the server in one table: `docs/limits.md` and a test of each are made from it.

A constant stands where it is used, an option in `hypha.settings`; the rows here say whose numbers they are
and what happens when they are reached.
"""

from hypha.bounds.connections import CONNECTIONS
from hypha.bounds.messages import MESSAGES
from hypha.bounds.people import PEOPLE
from hypha.bounds.requests import REQUESTS
from hypha.bounds.row import Bound, Numbers
from hypha.bounds.stored import STORED

SECTIONS: dict[str, tuple[Bound, ...]] = {
    "Connections": CONNECTIONS,
    "Messages": MESSAGES,
    "Requests by HTTP": REQUESTS,
    "What is kept": STORED,
    "Tokens and accounts": PEOPLE,
}
BOUNDS = tuple(bound for section in SECTIONS.values() for bound in section)

__all__ = ["BOUNDS", "SECTIONS", "Bound", "Numbers"]
