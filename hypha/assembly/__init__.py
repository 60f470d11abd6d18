"""Builds the server from its parts, starts and stops them in order."""

from hypha.assembly.application import Application, create_application
from hypha.assembly.server import Server

__all__ = ["Application", "Server", "create_application"]
