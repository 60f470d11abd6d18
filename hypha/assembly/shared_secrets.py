"""Secrets and names that all replicas have, though each has a data folder of its own."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypha.settings import Settings


def derived_secret(settings: Settings, name: str) -> str | None:
    """A secret that all replicas have; None for a server that is alone, which keeps its own."""
    if not settings.redis_uri or not settings.jwt_secret:
        return None
    return hmac.new(settings.jwt_secret.encode(), f"hypha {name}".encode(), hashlib.sha256).hexdigest()


def shared_manager_id(settings: Settings) -> str | None:
    """The manager's id in all replicas; None for a server that is alone."""
    secret = derived_secret(settings, "manager id")
    return None if secret is None else f"manager-{secret[:16]}"
