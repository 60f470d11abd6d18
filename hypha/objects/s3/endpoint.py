"""Where an S3 storage is, and with which key it is used."""

from __future__ import annotations

from dataclasses import dataclass, field

REQUEST_TIMEOUT_S = 30.0
"""Without a byte from the storage, or to it."""
CONNECT_TIMEOUT_S = 5.0
RETRIES = 4
RETRY_TIMEOUT_S = 20.0
"""After which nothing is tried again."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A bucket at an endpoint, with the key of the server.

    Attributes:
        url: for the server itself. public_url: for everybody else.
        session_token: goes with a lent key.
        heeds_proxies: whether requests go through the proxies that the environment names.
    """

    url: str
    bucket: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    region: str = "us-east-1"
    public_url: str = ""
    heeds_proxies: bool = False
    session_token: str = field(default="", repr=False)
