"""Tokens, and who is kept out."""

from __future__ import annotations

from hypha.limits.bound import Bound

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
        "keys_of_an_issuer",
        "Keys with which tokens from elsewhere are checked",
        "issuer",
        "The rest is left out",
        ("hypha.auth.keysets._MAX_KEYS",),
    ),
)
