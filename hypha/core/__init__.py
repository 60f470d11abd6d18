"""Names that startup files import; see the documentation page on authentication."""

from hypha.auth.user_info import ScopeInfo, UserInfo, UserPermission

__all__ = ["ScopeInfo", "UserInfo", "UserPermission"]
