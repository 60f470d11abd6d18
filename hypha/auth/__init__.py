"""Who may do what: users, scopes, tokens."""

from hypha.auth.minting import TokenRequest
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import Context, User

__all__ = ["Context", "Level", "Scope", "TokenAuthority", "TokenRequest", "User"]
