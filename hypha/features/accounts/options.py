"""Accounts with e-mail and password: who gets one, how letters go, how many tries there are."""

from __future__ import annotations

from dataclasses import dataclass

from hypha.errors import ConfigurationError
from hypha.options import FeatureOptions, flag, variable

SIGN_UP_MODES = ("open", "invitation", "closed")


@dataclass(frozen=True, kw_only=True, repr=False)
class AccountOptions(FeatureOptions):
    """Local accounts."""

    ALL_ON = ("--enable-local-auth",)

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

    @property
    def has_mail(self) -> bool:
        """Whether letters can be sent."""
        return bool(self.smtp_host or self.resend_api_key)

    def check(self) -> None:
        """Refuse modes that are none, and domains whose addresses nobody could prove."""
        if self.sign_up not in SIGN_UP_MODES:
            raise ConfigurationError(
                f"HYPHA_SIGN_UP must be one of {', '.join(SIGN_UP_MODES)}, not {self.sign_up[:40]!r}"
            )
        if self.sign_up_domains and not self.has_mail:
            raise ConfigurationError(
                "HYPHA_SIGN_UP_DOMAINS needs e-mail, which proves that an address is somebody's: set "
                "HYPHA_SMTP_HOST or RESEND_API_KEY"
            )
