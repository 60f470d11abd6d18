"""Who may do what: users, scopes, tokens, permissions."""

from hypha.auth.minting import TokenRequest
from hypha.auth.permissions import Permission, permission
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import Context, User

__all__ = ["Context", "Level", "Permission", "Scope", "TokenAuthority", "TokenRequest", "User", "permission"]
