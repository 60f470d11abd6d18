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
    auth0_client_secret: str | None = variable(None, "Secret of that client, if any", "AUTH0_CLIENT_SECRET")
    auth0_admin_role: str = variable("", "Auth0 role of administrators here", "HYPHA_AUTH0_ADMIN_ROLE")
    oidc_discovery_url: str = variable("", "Discovery document of a provider", "HYPHA_OIDC_DISCOVERY_URL")
    oidc_client_id: str = variable("", "Client id there", "HYPHA_OIDC_CLIENT_ID")
    oidc_client_secret: str | None = variable(None, "Client secret there, if any", "HYPHA_OIDC_CLIENT_SECRET")
    oidc_scopes: str = variable("openid profile email", "Scopes to ask for", "HYPHA_OIDC_SCOPES")
    oidc_name: str = variable("", "Name on the sign-in button; the host when empty", "HYPHA_OIDC_NAME")
    oidc_provider_id: str = variable(
        "oidc", "Begins its users' ids; never change it", "HYPHA_OIDC_PROVIDER_ID"
    )
    oidc_roles_claim: str = variable("", "Claim with roles: realm_access.roles", "HYPHA_OIDC_ROLES_CLAIM")
    oidc_admin_role: str = variable("", "Role there that makes administrators here", "HYPHA_OIDC_ADMIN_ROLE")
    oidc_providers: str | None = variable(
        None, "Several providers, as JSON or the name of a JSON file", "HYPHA_OIDC_PROVIDERS", secret=True
    )
    oidc_token_life_s: float = variable(
        86400.0, "Life of the token that a sign-in with a provider gives", "HYPHA_OIDC_TOKEN_LIFE", unit="s"
    )
    oidc_key_pause_s: float = variable(
        10.0, "Least pause between two fetches of a provider's keys", "HYPHA_OIDC_REFETCH_PAUSE", unit="s"
    )
    maximum_login_time_s: float = variable(180.0, "Life of a login key", "MAXIMUM_LOGIN_TIME", unit="s")
    allow_anonymous: bool = variable(
        True,
        "Whether users and calls without a credential are served; if not, they can sign in and nothing else",
        "HYPHA_ALLOW_ANONYMOUS",
    )
    enable_local_auth: bool = flag(
        False, "Accounts with e-mail and password; on by themselves when no other way to sign in is set up"
    )
    sign_up: str = variable(
        "open",
        "Who may make an account: open, invitation (with one of an administrator) or closed",
        "HYPHA_SIGN_UP",
    )
    sign_up_domains: str = variable(
        "",
        "Domains of the addresses that may sign up without an invitation, separated by commas; `*.` before "
        "one stands for those below it. Needs e-mail",
        "HYPHA_SIGN_UP_DOMAINS",
    )
    allow_sign_up: bool = variable(
        True, "False is an older way to say HYPHA_SIGN_UP=closed", "HYPHA_ALLOW_SIGN_UP"
    )
    smtp_host: str | None = variable(None, "Mail server that sends codes to people", "HYPHA_SMTP_HOST")
    smtp_port: int = variable(587, "Its port", "HYPHA_SMTP_PORT")
    smtp_security: str = variable(
        "starttls", "How the way to it is encrypted: starttls, tls or none", "HYPHA_SMTP_SECURITY"
    )
    smtp_user: str | None = variable(None, "Name to give to the mail server", "HYPHA_SMTP_USER")
    smtp_password: str | None = variable(None, "Password to give to the mail server", "HYPHA_SMTP_PASSWORD")
    resend_api_key: str | None = variable(
        None, "Key of the e-mail service Resend, instead of a mail server", "RESEND_API_KEY"
    )
    resend_api_url: str = variable(
        "https://api.resend.com", "Address of Resend's interface", "RESEND_API_URL"
    )
    verification_from_email: str | None = variable(None, "Sender of e-mails", "HYPHA_VERIFICATION_FROM_EMAIL")
    verification_code_ttl_s: float = variable(
        600, "Life of a code sent by e-mail", "HYPHA_VERIFICATION_CODE_TTL", unit="s"
    )
    verification_max_attempts: int = variable(
        5,
        "Tries for one code",
        "HYPHA_VERIFICATION_CODE_MAX_ATTEMPTS",
        "HYPHA_VERIFICATION_MAX_ATTEMPTS",
    )
    verification_resend_throttle_s: float = variable(
        30,
        "Pause before a code is sent again",
        "HYPHA_VERIFICATION_CODE_RESEND_THROTTLE",
        "HYPHA_VERIFICATION_RESEND_THROTTLE",
        unit="s",
    )
    verification_max_pending: int = variable(
        10000,
        "Sign-ups that wait for their code",
        "HYPHA_VERIFICATION_CODE_MAX_PENDING",
        "HYPHA_VERIFICATION_MAX_PENDING",
    )
    letters_per_recipient: int = variable(
        6, "E-mails to one address in an hour; 0: no limit", "HYPHA_LETTERS_PER_RECIPIENT"
    )
    letters_per_address: int = variable(
        30, "E-mails that one network address asks for in an hour; 0: no limit", "HYPHA_LETTERS_PER_ADDRESS"
    )
    letters_per_hour: int = variable(
        1000,
        "E-mails for sign-ups in an hour, and as many for passwords; 0: no limit",
        "HYPHA_LETTERS_PER_HOUR",
    )
    sign_in_attempts_per_account: int = variable(
        10,
        "Wrong passwords or codes for one account from one address in ten minutes",
        "HYPHA_SIGN_IN_ATTEMPTS",
    )
    sign_in_attempts_per_address: int = variable(
        200,
        "Sign-ins, sign-ups and codes from one address in ten minutes",
        "HYPHA_SIGN_IN_ATTEMPTS_PER_ADDRESS",
    )
