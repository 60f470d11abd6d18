"""Who people are: tokens, providers, local accounts and their e-mails."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.options import flag, variable


@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class SigningIn:
    """Signing in."""

    root_token: str | None = flag(
        None, "Secret that makes its holder root; at least 32 characters", secret=True
    )
    jwt_secret: str | None = variable(
        None, "Key that signs tokens; kept in the data folder when absent", "HYPHA_JWT_SECRET", "JWT_SECRET"
    )
    max_token_life_time_s: float = variable(
        10 * 365 * 86400.0, "Longest life of a generated token", "HYPHA_MAX_TOKEN_LIFE_TIME", unit="s"
    )
    reconnection_token_life_time_s: float = variable(
        172800.0, "Life of the token with which a client reconnects", "RECONNECTION_TOKEN_LIFE_TIME", unit="s"
    )
    audit_retention_s: float = variable(
        90 * 86400.0, "How long entries of the audit log are kept", "HYPHA_AUDIT_RETENTION", unit="s"
    )
    audit_max_entries: int = variable(
        200_000, "Entries of the audit log above which the oldest go", "HYPHA_AUDIT_MAX_ENTRIES"
    )
    auth0_client_id: str = variable("", "Client id at Auth0, told to clients", "AUTH0_CLIENT_ID")
    auth0_domain: str = variable(
        "", "Auth0 tenant whose tokens are accepted; none when empty", "AUTH0_DOMAIN"
    )
    auth0_audience: str = variable(
        "https://amun-ai.eu.auth0.com/api/v2/", "Audience of the tokens, ours included", "AUTH0_AUDIENCE"
    )
    auth0_issuer: str = variable("https://amun.ai/", "Issuer of the tokens, ours included", "AUTH0_ISSUER")
    auth0_namespace: str = variable(
        "https://amun.ai/", "Prefix of our own claims in the tokens", "AUTH0_NAMESPACE"
    )
    allow_anonymous: bool = variable(
        True,
        "Whether users and calls without a credential are served; if not, they can sign in and nothing else",
        "HYPHA_ALLOW_ANONYMOUS",
    )
