"""Records are tried on every database, `doctor` is asked in a folder of its own."""

from tests.kit.databases import postgres, store, uri
from tests.kit.doctor import doctor_folder

__all__ = ["doctor_folder", "postgres", "store", "uri"]
