"""People that tests act as, with their tokens."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

from hypha.testing import ServerProcess, mint_token


@dataclass(frozen=True)
class Person:
    """A registered user of the tests with an own workspace and a token for it."""

    id: str
    secret: str
    token: str

    @property
    def workspace(self) -> str:
        """The person's own workspace."""
        return f"ws-user-{self.id}"

    def token_for(self, level: str, workspace: str | None = None, **fields: Any) -> str:
        """A token of a child user, bound to one workspace with a level (`r`, `rw`, `a`)."""
        workspace = workspace or self.workspace
        fields = {"workspaces": {workspace: level}, "current": workspace, "parent": self.id, **fields}
        return mint_token(
            self.secret, fields.pop("user_id", f"{self.id}-child-{uuid.uuid4().hex[:6]}"), **fields
        )

    def with_token(self, token: str) -> Person:
        """The same person with another credential."""
        return replace(self, token=token)


def make_person(server: ServerProcess, name: str = "user", **fields: Any) -> Person:
    """A new registered user; `fields` go to `mint_token`."""
    assert server.secret
    user_id = f"{name}-{uuid.uuid4().hex[:10]}"
    return Person(user_id, server.secret, mint_token(server.secret, user_id, **fields))
