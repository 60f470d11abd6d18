"""Options that contradict each other or would open access are refused before the server starts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hypha.errors import ConfigurationError

if TYPE_CHECKING:
    from hypha.settings.settings import Settings

MIN_ROOT_TOKEN_CHARS = 32
STRONG_ROOT_TOKEN_CHARS = 64
GUESSABLE_WORDS = "test root admin password token secret 123 abc hypha default".split()
_BASE_PATH = re.compile(r"/?(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*)?/?")
_PLAIN_URL = re.compile(r"[!-~]+")
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


def check_settings(settings: Settings) -> None:
    """Refuse options that contradict each other or would open access.

    Raises:
        ConfigurationError: with the sentence for the user.
    """
    if settings.root_token is not None:
        _check_root_token(settings.root_token)
    if settings.redis_uri and not settings.redis_uri.startswith(REDIS_SCHEMES):
        raise ConfigurationError("--redis-uri must start with redis://, rediss:// or unix://")
    if settings.redis_uri and not settings.jwt_secret:
        raise ConfigurationError(
            "--redis-uri needs the secret that all replicas sign with: set HYPHA_JWT_SECRET"
        )
    for options in settings.of_features:
        options.check()
    if settings.workers != 1:
        raise ConfigurationError("--workers above 1 needs Redis, which is not active in this version: use 1")
    if not 0 <= settings.port <= 65535:
        raise ConfigurationError(f"--port must be from 0 to 65535, not {settings.port}")
    if not _BASE_PATH.fullmatch(settings.base_path) or ".." in settings.base_path.split("/"):
        raise ConfigurationError(
            f"--base-path must be a plain path such as /my/engine: {settings.base_path!r}"
        )
    if settings.public_base_url:
        _check_base_url(settings.public_base_url)
    if not settings.data_dir.strip():
        raise ConfigurationError("--data-dir is empty: name a folder, or :memory: to keep nothing")


def differing_paths(settings: Settings) -> str | None:
    """What is wrong when the public URL and the base path name different paths; None if they agree.

    Programs come through all the same, so this refuses nothing; links of the server's own pages don't.
    """
    public = urlsplit(settings.public_base_url or settings.local_base_url).path.rstrip("/")
    if public == settings.url_path:
        return None
    return (
        f"--public-base-url has the path {public or '/'} and --base-path is {settings.url_path or '/'}: the "
        "server's own pages do not find their files; give both the same path, and let the proxy hand it on "
        "unchanged"
    )


def _check_base_url(url: str) -> None:
    """Refuse what clients could not put a path behind."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of brackets
        is_usable = False
    if not is_usable or "@" in parts.netloc or parts.query or parts.fragment or not _PLAIN_URL.fullmatch(url):
        raise ConfigurationError(
            "--public-base-url must be a URL such as https://hub.example.org, with its scheme and without "
            f"a user, a query or spaces: {url!r}"
        )


def _check_root_token(token: str) -> None:
    if len(token) < MIN_ROOT_TOKEN_CHARS:
        raise ConfigurationError(
            f"--root-token must have at least {MIN_ROOT_TOKEN_CHARS} characters; make one with: "
            'python -c "import secrets; print(secrets.token_hex(32))"'
        )
    word = next((word for word in GUESSABLE_WORDS if word in token.lower()), None)
    if word and len(token) < STRONG_ROOT_TOKEN_CHARS:
        raise ConfigurationError(
            f"--root-token contains the guessable word {word!r} and has fewer than "
            f"{STRONG_ROOT_TOKEN_CHARS} characters: use a random one"
        )
