"""Tokens, sign-ins and accounts."""

from __future__ import annotations

from hypha.bounds.row import Bound

PEOPLE = (
    Bound(
        "tokens_of_a_user",
        "Generated tokens that are valid",
        "user",
        "`QuotaExceeded`",
        ("max_tokens_per_user",),
    ),
    Bound(
        "one_token",
        "Life of a generated token; further scopes; keys in its options; tokens made from tokens in turn",
        "token",
        "Refused",
        (
            "max_token_life_time_s",
            "hypha.auth.minting.MAX_EXTRA_SCOPES",
            "hypha.auth.minting.MAX_KEYS",
            "hypha.auth.minting.MAX_GENERATIONS",
        ),
    ),
    Bound(
        "revoked_tokens",
        "Tokens revoked at once; in the long run",
        "person: both; address of anonymous users: both",
        "`RateLimited`; what is revoked is remembered until it would have expired",
        (
            "hypha.workspaces.functions_tokens.MAX_REVOKED",
            "hypha.workspaces.functions_tokens.REVOKED_PER_S",
            "hypha.workspaces.functions_tokens.STRANGERS_MAX_REVOKED",
            "hypha.workspaces.functions_tokens.STRANGERS_REVOKED_PER_S",
        ),
    ),
    Bound(
        "text_of_a_token",
        "Text of a token; of a token's name; tokens of a listing",
        "call",
        "Refused",
        (
            "hypha.workspaces.functions_tokens.MAX_TOKEN_CHARS",
            "hypha.workspaces.functions_tokens.MAX_NAME_CHARS",
            "hypha.workspaces.functions_tokens.MAX_LISTED",
        ),
    ),
    Bound(
        "known_tokens",
        "Tokens that were verified and are kept in memory; letters of one that is",
        "in all",
        "The oldest are verified again",
        ("hypha.auth.tokens._MAX_CACHED", "hypha.auth.tokens._MAX_CACHED_CHARS"),
    ),
    Bound(
        "blocks",
        "Blocked users and addresses; letters of a reason",
        "in all",
        "Refused",
        ("hypha.auth.blocklist.MAX_BLOCKS", "hypha.auth.blocklist.MAX_REASON_CHARS"),
    ),
    Bound(
        "logins_of_programs",
        "Sign-ins begun by programs: that wait; whose programs wait for an answer; of one of them; life",
        "in all",
        "`LimitReached` with a time to wait",
        (
            "hypha.features.login.pending.MAX_PENDING",
            "hypha.features.login.pending.MAX_WAITING",
            "hypha.features.login.pending.MAX_WAITING_PER_KEY",
            "maximum_login_time_s",
        ),
    ),
    Bound(
        "mistakes_of_logins",
        "Addresses of whom mistakes with login keys are known",
        "in all",
        "The oldest are forgotten",
        ("hypha.limits.buckets.MAX_TRACKED",),
    ),
    Bound(
        "sign_in_attempts",
        "Wrong passwords and codes in ten minutes; sign-ins; those of whom that is known",
        "account and address; address; in all",
        "429",
        (
            "sign_in_attempts_per_account",
            "sign_in_attempts_per_address",
            "hypha.features.accounts.throttle.MAX_TRACKED",
        ),
    ),
    Bound(
        "letters",
        "E-mails in an hour; that wait to be sent",
        "recipient; network address that asks; all sign-ups, and all passwords; in all",
        "429",
        (
            "letters_per_recipient",
            "letters_per_address",
            "letters_per_hour",
            "hypha.features.accounts.mail.MOST_WAITING",
        ),
    ),
    Bound(
        "sign_ups_that_wait",
        "Sign-ups that wait for their code; wrong codes",
        "in all; sign-up",
        "Refused; it begins anew",
        ("verification_max_pending", "verification_max_attempts"),
    ),
    Bound(
        "passwords_at_work",
        "Passwords that wait to be checked",
        "in all; account",
        "429",
        (
            "hypha.features.accounts.turns.MOST_WAITING",
            "hypha.features.accounts.turns.MOST_PER_KEY",
        ),
    ),
    Bound(
        "texts_of_accounts",
        "Password; name; e-mail address; body of a page of accounts; of a custom login page",
        "request",
        "Refused; 413",
        (
            "hypha.features.accounts.passwords.MAX_BYTES",
            "hypha.features.accounts.names.MAX_NAME_CHARS",
            "hypha.features.accounts.names.MAX_EMAIL_CHARS",
            "hypha.features.accounts.page.MAX_BODY_BYTES",
            "hypha.features.login.functions_page.MAX_BODY_BYTES",
        ),
    ),
    Bound(
        "invitations",
        "Invitations; accounts of one; letters of a note; in a listing",
        "in all; invitation",
        "Refused",
        (
            "hypha.features.accounts.invitations.MAX_KEPT",
            "hypha.features.accounts.invitations.MAX_USES",
            "hypha.features.accounts.invitations.MAX_NOTE_CHARS",
            "hypha.features.accounts.invitations.MAX_LISTED",
        ),
    ),
    Bound(
        "known_places",
        "Addresses from which an account signed in",
        "account",
        "The oldest are forgotten",
        ("hypha.features.accounts.records.MAX_PLACES",),
    ),
    Bound(
        "provider_sign_ins",
        "Sign-ins with a provider remembered as used; an answer of a provider; its keys; roles",
        "in all; answer",
        "The oldest are forgotten; refused; the rest is left out",
        (
            "hypha.features.oidc.attempts.MAX_USED",
            "hypha.features.oidc.web.MAX_ANSWER_BYTES",
            "hypha.auth.keysets._MAX_KEYS",
            "hypha.features.oidc.claims.MAX_ROLES",
        ),
    ),
    Bound(
        "terminal",
        "Screen of the administrators' terminal; a command; lines of an unfinished one",
        "server",
        "The oldest text goes; refused",
        (
            "hypha.features.admin.terminal.MAX_SCREEN_CHARS",
            "hypha.features.admin.terminal.MAX_COMMAND_CHARS",
            "hypha.features.admin.terminal.MAX_UNFINISHED_LINES",
        ),
    ),
)
