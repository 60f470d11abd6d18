"""Local accounts: e-mail and password, and the page on which people sign in."""

from hypha.features.accounts.feature import AccountsFeature

__all__ = ["AccountsFeature"]
