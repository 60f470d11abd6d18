"""Programs that the server is starting, and that have not connected yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ExpectedClients:
    """Which clients are about to connect, each with the token of one user.

    A token that is bound to a client id is good over HTTP while that client is connected. Whoever starts a
    program fetches its files before.
    """

    def __init__(self) -> None:
        self._expected: dict[tuple[str, str], str] = {}
        """Ids of users by workspace and client id."""

    @contextmanager
    def expecting(self, workspace: str, client_id: str, user_id: str) -> Iterator[None]:
        """Expect a client meanwhile."""
        self._expected[workspace, client_id] = user_id
        try:
            yield
        finally:
            del self._expected[workspace, client_id]

    def has(self, workspace: str, client_id: str, user_id: str) -> bool:
        """Whether this user's program is expected under a client id now."""
        return self._expected.get((workspace, client_id)) == user_id
