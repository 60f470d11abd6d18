"""`doctor` is asked in a folder of its own."""

from tests.kit.doctor import doctor_folder

__all__ = ["doctor_folder"]
