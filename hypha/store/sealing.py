"""Encryption of values at rest."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hypha.errors import BackendUnavailable

_VERSION = b"\x01"
_NONCE_BYTES = 12


class Seal:
    """Encrypts small values with AES-256-GCM under a key derived from the server's secret.

    A sealed value is bound to the place for which it was made: copied to another row it doesn't open.
    """

    def __init__(self, secret: str | bytes) -> None:
        raw = secret.encode() if isinstance(secret, str) else secret
        key = HKDF(SHA256(), 32, salt=None, info=b"hypha values at rest v1").derive(raw)
        self._cipher = AESGCM(key)

    def close(self, value: bytes, place: str) -> bytes:
        """Encrypt a value for a place such as `workspace/key`."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, value, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Decrypt a value.

        Raises:
            BackendUnavailable: it was sealed with another secret or for another place, or is damaged.
        """
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if sealed[:1] != _VERSION:
                raise InvalidTag
            return self._cipher.decrypt(nonce, body, place.encode())
        except (InvalidTag, ValueError):
            raise BackendUnavailable(
                "A stored value cannot be decrypted: the server runs with another secret than the one "
                "that it was stored with, or the value is damaged."
            ) from None
