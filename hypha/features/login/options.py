"""How long a program waits for a person to sign in."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import FeatureOptions, variable


@dataclass(frozen=True, kw_only=True, repr=False)
class LoginOptions(FeatureOptions):
    """Logins of programs."""

    maximum_login_time_s: float = variable(180.0, "Life of a login key", "MAXIMUM_LOGIN_TIME", unit="s")
