"""What `doctor` says of accounts: who may make one, and how letters go."""

from __future__ import annotations

from hypha.features.accounts.mail import mail_of
from hypha.features.accounts.options import AccountOptions
from hypha.findings import Findings, broken, refusals, risky
from hypha.networks import is_meant_here


def examine_mail(options: AccountOptions) -> Findings:
    """The way of letters, which are sent for accounts alone."""
    host = options.smtp_host
    if host and options.smtp_security == "none" and not is_meant_here(host):
        yield risky(
            "HYPHA_SMTP_SECURITY none: codes that prove addresses can be read on the way; use starttls or tls"
        )
    elif host and options.smtp_security not in ("starttls", "tls", "none"):
        yield broken("HYPHA_SMTP_SECURITY must be starttls, tls or none")
    yield from refusals(lambda: mail_of(options))


def examine_tries(options: AccountOptions) -> Findings:
    """Bounds on guessing that were taken away."""
    for name, most in (
        ("HYPHA_SIGN_IN_ATTEMPTS", options.sign_in_attempts_per_account),
        ("HYPHA_SIGN_IN_ATTEMPTS_PER_ADDRESS", options.sign_in_attempts_per_address),
    ):
        if not most > 0:
            yield risky(f"{name} is 0, no limit: one visitor can use up what others need")


def examine_sign_up(options: AccountOptions) -> Findings:
    """Who gets an account."""
    is_open = options.sign_up == "open" and options.allow_sign_up
    if is_open and not options.sign_up_domains.strip():
        yield risky(
            "anybody may make an account: set HYPHA_SIGN_UP to invitation or closed, or HYPHA_SIGN_UP_DOMAINS"
        )
    if not options.has_mail:
        yield risky(
            "no e-mail is sent: addresses of accounts are not proven and forgotten passwords cannot be "
            "replaced; set HYPHA_SMTP_HOST or RESEND_API_KEY, and HYPHA_VERIFICATION_FROM_EMAIL"
        )
