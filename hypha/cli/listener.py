"""The socket on which the server listens."""

from __future__ import annotations

import errno
import socket
import sys

from hypha.errors import ConfigurationError

BACKLOG = 4096


def bind(host: str, port: int) -> socket.socket:
    """Take the port before anything else is done, so that a port in use is told at once.

    Raises:
        ConfigurationError: the port is in use, not allowed, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, ValueError) as error:  # ValueError: no name of a host at all
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"Cannot listen on {host}: {reason}") from error
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_bind_sentence(host, port, error)) from error
    return listener


def _bind_sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use: choose another with --port, or stop what listens there"
    if error.errno == errno.EACCES:
        return f"Port {port} may not be used by this user: choose one above 1023 with --port"
    return f"Cannot listen on {host} port {port}: {error.strerror or error}"
