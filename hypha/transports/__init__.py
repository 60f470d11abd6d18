"""Sockets and streams that feed the hub."""
