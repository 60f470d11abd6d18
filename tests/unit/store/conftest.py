"""Records are tried on every database."""

from tests.kit.databases import postgres, store, uri

__all__ = ["postgres", "store", "uri"]
