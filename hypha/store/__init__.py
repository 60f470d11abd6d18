"""Records that must last, in SQLite or PostgreSQL."""

from hypha.store.records import Bookmark, LoggedEvent, ServiceType, WorkspaceRecord
from hypha.store.sealing import Seal
from hypha.store.sql import Store

__all__ = ["Bookmark", "LoggedEvent", "Seal", "ServiceType", "Store", "WorkspaceRecord"]
