"""What `doctor` reads from the settings alone: who reaches the server, and what they could do there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from urllib.parse import urlsplit

from hypha.configuration import values_of
from hypha.findings import Finding, Findings, broken, note, risky
from hypha.networks import is_meant_here, parse_address, reachable_host
from hypha.settings import Settings
from hypha.settings.checks import GUESSABLE_WORDS, STRONG_ROOT_TOKEN_CHARS, differing_paths
from hypha.web.origins import origin_of

MIN_SECRET_CHARS = 32
MIN_DISTINCT_CHARS = 10
_WORDS = [word for word in GUESSABLE_WORDS if len(word) > 3]
_NO_LIMIT = "0: no limit"
_RATES = ("http_rate_limit", "http_authenticated_rate_limit")
_REGISTRY_CHARS = 3
_WIDEST_PREFIX = {4: 8, 6: 32}


@dataclass(frozen=True, slots=True)
class Reach:
    """How people reach the server with some settings: where it listens, and the URL that it announces."""

    public_url: str
    is_on_loopback: bool

    @classmethod
    def of(cls, settings: Settings) -> Reach:
        """What the settings say of it."""
        return cls(settings.public_base_url or "", is_meant_here(reachable(settings.host)))

    @property
    def is_public(self) -> bool:
        """Its URL names another host than this machine."""
        return bool(self.public_url) and not is_meant_here(host_of(self.public_url))

    @property
    def is_https(self) -> bool:
        """Its public URL is encrypted."""
        return self.public_url.lower().startswith("https://")


def reachable(host: str) -> str:
    """The address that is listened on; empty when it is one of all."""
    address = parse_address(host.strip().strip("[]").partition("%")[0])
    if address is None:
        return "" if reachable_host(host) != host.strip() else host.strip()
    return "" if address.is_unspecified else str(address)


def host_of(url: str) -> str:
    """The host in a URL; empty if it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def examine(settings: Settings, *, has_admin: bool | None = None) -> Iterator[Finding]:
    """All findings of the settings; `has_admin`: whether anybody has the role admin; None: not known."""
    reach = Reach.of(settings)
    yield from _addresses(settings, reach)
    yield from _secrets(settings)
    yield from _doors(settings)
    yield from _people(settings, has_admin)
    yield from _pages(settings, reach)
    yield from _limits(settings)


def _addresses(settings: Settings, reach: Reach) -> Findings:
    if settings.public_base_url and origin_of(settings.public_base_url) is None:
        yield broken("--public-base-url must be a URL such as https://hub.example")
        return
    if text := differing_paths(settings):
        yield broken(text)
    if reach.is_on_loopback and not reach.is_public:
        yield note(
            f"--host {settings.host}: only programs of this machine reach the server now; what is said here "
            "counts once a proxy hands requests on to it"
        )
    if not reach.is_public:
        yield risky(
            f"--public-base-url is not set to where people find the server (told to clients: "
            f"{settings.announced_base_url}): put a proxy with HTTPS before it, and set --public-base-url "
            "https://hub.example and --trusted-proxies"
        )
    elif not reach.is_https:
        yield risky(
            "--public-base-url begins with http://: passwords and tokens can be read on the way; use https://"
        )
    if not settings.trusted_proxies.strip():
        yield risky(
            "--trusted-proxies names nobody: behind a proxy all visitors count as one address, with one "
            "share of all limits; name the proxy's address, such as 127.0.0.1"
        )
    yield from _proxies(settings.trusted_proxies)
    if not reach.is_on_loopback:
        yield from _open_port(settings, reach)


def _open_port(settings: Settings, reach: Reach) -> Findings:
    text = (
        f"--host {settings.host}: see to it that only the proxy reaches port {settings.port} (--host "
        "127.0.0.1, or a firewall), where nothing is encrypted"
    )
    yield note(text) if reach.is_https else risky(text)


def _proxies(text: str) -> Findings:
    for word in filter(None, (word.strip() for word in text.split(","))):
        try:
            network = ip_network(word, strict=False)
        except ValueError:
            yield broken("--trusted-proxies takes addresses and networks, separated by commas")
            return
        is_private = network.is_private and network.prefixlen > 0
        if network.prefixlen < _WIDEST_PREFIX[4 if isinstance(network, IPv4Network) else 6] or (
            network.num_addresses > 2**16 and not is_private
        ):
            yield risky(
                f"--trusted-proxies {network} holds strangers, who can then claim any address: name the "
                "proxy alone"
            )


def _secrets(settings: Settings) -> Findings:
    if settings.jwt_secret is not None and (why := weakness(settings.jwt_secret)):
        yield risky(
            f"HYPHA_JWT_SECRET {why}: whoever guesses it makes tokens of any user; leave it out (the data "
            'folder keeps one) or make one: python -c "import secrets; print(secrets.token_hex(32))"'
        )
    if settings.root_token is not None and (why := weakness(settings.root_token)):
        yield risky(f"--root-token {why}: make one that is random, of 64 hexadecimal digits")
    if settings.root_token is not None and settings.root_token == settings.jwt_secret:
        yield risky("--root-token and HYPHA_JWT_SECRET are the same: make one for each")


def weakness(secret: str) -> str | None:
    """Why a secret could be guessed, in words that don't tell it; None if it looks random."""
    if len(secret) < MIN_SECRET_CHARS:
        return f"has fewer than {MIN_SECRET_CHARS} characters"
    if len(set(secret)) < MIN_DISTINCT_CHARS:
        return "is made of few different characters"
    if len(secret) < STRONG_ROOT_TOKEN_CHARS and any(word in secret.lower() for word in _WORDS):
        return "contains a word that guessers try first"
    return None


def _doors(settings: Settings) -> Findings:
    """What opens more than people expect."""
    if settings.trust_apps:
        yield risky(
            "--trust-apps: pages that clients serve act with the session of whoever opens them; leave it out"
        )
    if settings.expose_detailed_errors:
        yield risky("HYPHA_EXPOSE_DETAILED_ERRORS: errors show the inside of the server; leave it out")
    if settings.streams_by_address == "on":
        yield risky(
            "--streams-by-address on: all behind one address can speak for each other's anonymous streams; "
            "use auto or off"
        )


def _people(settings: Settings, has_admin: bool | None) -> Findings:
    if not settings.root_token and has_admin is False:
        yield risky(
            "nobody can administer the server (block users, read the audit log): set --root-token, or open "
            "the administrator's link that the server prints at its start"
        )
    if settings.allow_anonymous:
        yield risky(
            "anonymous users are served: anybody may connect, call public services and use resources; set "
            "HYPHA_ALLOW_ANONYMOUS=false unless you want that"
        )


def _pages(settings: Settings, reach: Reach) -> Findings:
    origins = [word.strip() for word in settings.allow_origins.split(",") if word.strip()]
    if "*" in origins:
        yield risky(
            "--allow-origins *: any web page that somebody opens may call the server from their browser, as "
            "a stranger; name the origins that need it, or none: --allow-origins https://hub.example"
        )
    for origin in origins:
        if origin != "*" and (reach.is_https and not origin.lower().startswith("https://")):
            yield risky(
                f"--allow-origins {origin[:80]}: a page without HTTPS may use cookies of applications here; "
                "name https:// origins only"
            )
    if settings.apps_origin is None:
        yield risky(
            "applications of clients are on the server's own host name, where people expect the server's "
            "pages: set --apps-origin to a host of another domain"
        )
        return
    if reach.is_https and not settings.apps_origin.lower().startswith("https://"):
        yield risky("--apps-origin begins with http://: use https://, as in --public-base-url")
    if _are_neighbours(host_of(settings.apps_origin), host_of(settings.announced_base_url)):
        yield risky(
            "--apps-origin and --public-base-url are hosts of one domain, which can set cookies for each "
            "other: take a host of another domain for applications"
        )


def _are_neighbours(one: str, other: str) -> bool:
    """Whether two hosts belong to one domain, as far as names tell: `a.uni.example` and `b.uni.example`."""
    if parse_address(one) or parse_address(other) or not one or not other or one == other:
        return False
    if one.endswith(f".{other}") or other.endswith(f".{one}"):
        return True
    shared = 0
    for left, right in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if left != right:
            break
        shared += 1
    country, _, second = ".".join(reversed(one.split(".")[-2:])).partition(".")
    is_registry = len(country) == 2 and len(second) <= _REGISTRY_CHARS  # such as co.uk, ac.jp
    return shared > 2 or (shared == 2 and not is_registry)


def _limits(settings: Settings) -> Findings:
    """Bounds that were taken away, and those that are the proxy's business."""
    yield note(
        "/metrics tells everybody how busy the server is: let the proxy hand it to your monitoring alone"
    )
    if not settings.user_call_rate_limit > 0:
        yield note(
            "calls over open connections have no rate: HYPHA_USER_CALL_RATE_LIMIT sets one for each user"
        )
    for option, value in values_of(settings):
        is_bound = _NO_LIMIT in option.help or option.name in _RATES
        if is_bound and option.default and not value > 0:
            yield risky(f"{option.variables[0]} is 0, no limit: one visitor can use up what others need")
    if settings.data_dir == ":memory:":
        yield risky(
            "--data-dir :memory: loses accounts, tokens and workspaces with the process; name a folder"
        )
