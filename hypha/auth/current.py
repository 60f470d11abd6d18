"""The token authority of the server that runs the present code.

Operators' own code calls plain functions (`hypha.core.auth`) that name no server; this is how they
find theirs. Nothing else reads it: everything of the server is given what it needs.
"""

from __future__ import annotations

from contextvars import ContextVar

from hypha.auth.tokens import TokenAuthority

CURRENT: ContextVar[TokenAuthority | None] = ContextVar("hypha_token_authority", default=None)
"""Set while startup functions and providers' hooks run."""
