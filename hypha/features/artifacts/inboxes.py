"""Recipient collections: each child is for the person whose e-mail address its manifest names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypha.addresses import fold_email
from hypha.auth.users import Context
from hypha.features.artifacts.artifact import Artifact


def recipient_field(config: Mapping[str, Any]) -> str | None:
    """The field of the children's manifests with the recipient's address; None where all see all."""
    field = config.get("recipient_field")
    return field if config.get("private_children") and isinstance(field, str) else None


def address_of(context: Context) -> str | None:
    """The e-mail address to which a caller's things are sent: a person's own, not one of a child token."""
    user = context.user
    return user.email if user.parent is None and not user.is_anonymous else None


def is_recipient(artifact: Artifact, context: Context) -> bool:
    """Whether an artifact was sent to the caller, in a collection that lets recipients delete."""
    field = recipient_field(artifact.parent_config)
    if field is None or not artifact.parent_config.get("recipient_can_delete"):
        return False
    address, manifest = address_of(context), artifact.manifest
    sent_to = manifest.get(field) if isinstance(manifest, Mapping) else None
    return bool(address) and isinstance(sent_to, str) and fold_email(sent_to) == fold_email(address or "")
