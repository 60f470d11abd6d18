"""Storages that the secrets of artifacts name, and which of them the operator lets be used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from hypha.errors import ConfigurationError, InvalidKey, InvalidRequest, PermissionDenied
from hypha.networks import parse_address
from hypha.objects.keys import check_bucket, check_prefix

URL, KEY_ID, SECRET_KEY = "S3_ENDPOINT_URL", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"
REGION, BUCKET, PREFIX = "S3_REGION_NAME", "S3_BUCKET", "S3_PREFIX"
NAMES = frozenset({URL, KEY_ID, SECRET_KEY, REGION, BUCKET, PREFIX})
FLAG = "--artifact-s3-endpoints"
DEFAULT_REGION = "us-east-1"

_KEY_ID = re.compile(r"[!-~]{1,128}")
_SECRET = re.compile(r"[!-~]{1,256}")
_REGION = re.compile(r"(?![0-9]+$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""What stands in the name of a host."""
_MAX_PREFIX_BYTES = 200
_INSIDE = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket at an endpoint, the prefix of all keys there (empty, or with `/` at its end), and a key."""

    url: str
    bucket: str
    prefix: str
    region: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)

    def is_where(self, other: Place) -> bool:
        """Whether files that lie in the one lie in the other, whatever the keys."""
        return (self.url, self.bucket, self.prefix) == (other.url, other.bucket, other.prefix)

    def encoded(self) -> bytes:
        """As it is kept, sealed."""
        return orjson.dumps([getattr(self, name) for name in self.__slots__])

    @classmethod
    def decoded(cls, kept: bytes) -> Place:
        """What `encoded` made."""
        return cls(*orjson.loads(kept))


class Places:
    """The endpoints that may be named.

    Args:
        endpoints: addresses, each with a scheme. bucket: where secrets name none.
    """

    def __init__(self, endpoints: Sequence[str] = (), bucket: str = "") -> None:
        self._endpoints = {checked_endpoint(each) for each in endpoints}
        self._bucket = bucket

    def allows(self, place: Place) -> bool:
        """Whether its endpoint may still be named."""
        return place.url in self._endpoints

    def of(self, secrets: Mapping[str, Any]) -> Place | None:
        """The place that secrets name; None unless they hold both halves of a key.

        Nothing of the secrets is repeated in an error.

        Raises:
            PermissionDenied: the operator allows no such endpoint. InvalidRequest: they name no place.
        """
        if not secrets.get(KEY_ID) or not secrets.get(SECRET_KEY):
            return None
        if not self._endpoints:
            raise PermissionDenied(
                f"{KEY_ID} and {SECRET_KEY}: this server keeps no artifacts in storages that their secrets "
                f"name. Its operator may allow some, with {FLAG}. Secrets of other names are kept."
            )
        if not secrets.get(URL):
            raise InvalidRequest(f"{KEY_ID} and {SECRET_KEY} need {URL}: set it first, or with them.")
        try:
            url = _normal(str(secrets[URL]))
        except ValueError:
            url = ""
        if url not in self._endpoints:
            raise PermissionDenied(
                f"{URL}: this server does not use that endpoint for artifacts. Its operator may allow it, "
                f"with {FLAG}."
            )
        return Place(
            url, _bucket(secrets.get(BUCKET) or self._bucket), _prefix(secrets.get(PREFIX) or ""),
            _matching(REGION, _REGION, secrets.get(REGION) or DEFAULT_REGION),
            _matching(KEY_ID, _KEY_ID, secrets[KEY_ID]),
            _matching(SECRET_KEY, _SECRET, secrets[SECRET_KEY]),
        )  # fmt: skip


def checked_endpoint(text: str) -> str:
    """An endpoint as it is compared.

    A name outside may lead anywhere tomorrow: `https` makes sure of who answers there. Without it an endpoint
    is an address, or a name of the operator's own network.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        url, parts = _normal(text), urlsplit(text)
    except ValueError:
        raise ConfigurationError(f"{FLAG} takes addresses such as https://s3.example.org") from None
    host = (parts.hostname or "").lower()
    is_inside = parse_address(host) is not None or "." not in host or host.endswith(_INSIDE)
    if parts.scheme.lower() == "http" and not is_inside:
        raise ConfigurationError(
            f"{FLAG}: {host} needs https, which makes sure of who answers there; http is for addresses, and "
            "names of your own network such as minio or minio.internal."
        )
    return url


def _normal(text: str) -> str:
    parts = urlsplit(text.strip())
    scheme, host, port = parts.scheme.lower(), (parts.hostname or "").lower(), parts.port
    if scheme not in _PORTS or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("no endpoint")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port or _PORTS[scheme]}{parts.path.rstrip('/')}"


def _bucket(text: object) -> str:
    try:
        return check_bucket(text)
    except InvalidKey as error:
        raise InvalidRequest(f"{BUCKET}: {error.message}") from None


def _prefix(text: object) -> str:
    try:
        prefix = check_prefix(text.strip("/") if isinstance(text, str) else text)
    except InvalidKey:
        prefix = "x" * (_MAX_PREFIX_BYTES + 1)
    if len(prefix.encode()) > _MAX_PREFIX_BYTES:
        raise InvalidRequest(f"{PREFIX} is a path of words, of at most {_MAX_PREFIX_BYTES} bytes.")
    return f"{prefix}/" if prefix else ""


def _matching(name: str, form: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise InvalidRequest(f"{name} is a text without spaces, and not longer than S3 has it.")
    return value
