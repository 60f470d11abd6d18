"""The embedded object store: plain files under the data folder, readable for a person."""

from hypha.objects.local.store import LocalObjects

__all__ = ["LocalObjects"]
