"""Recipient collections: each child is for the person whose e-mail address its manifest names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Text, func, literal, type_coerce
from sqlalchemy.dialects.postgresql import JSONB

from hypha.addresses import fold_email
from hypha.auth.users import Context
from hypha.features.artifacts.artifact import Artifact


def recipient_field(config: Mapping[str, Any]) -> str | None:
    """The field of the children's manifests with the recipient's address; None where all see all."""
    field = config.get("recipient_field")
    return field if config.get("private_children") and isinstance(field, str) else None


def is_private_inbox(config: Any, is_postgres: bool) -> ColumnElement[bool]:
    """The same of the column of a collection's config, for the database: whether not all see all."""
    if is_postgres:
        value = type_coerce(config, JSONB).op("->>", return_type=Text())(literal("private_children", Text))
        return func.coalesce(value, "false") == "true"
    return func.coalesce(func.json_type(config, "$.private_children"), "false") == "true"


def recipient_in(config: Any, manifest: Any, is_postgres: bool) -> ColumnElement[str]:
    """What the manifest of a child says in the field that its inbox names, for the database."""
    name: ColumnElement[str]
    if is_postgres:
        name = type_coerce(config, JSONB).op("->>", return_type=Text())(literal("recipient_field", Text))
        return type_coerce(manifest, JSONB).op("->>", return_type=Text())(name)
    name = func.json_extract(config, "$.recipient_field", type_=Text())
    return func.json_extract(manifest, literal('$."', Text).concat(name).concat('"'), type_=Text())


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
