"""How many files and sockets the process may have open at once, and how many of them sockets take."""

from __future__ import annotations

import contextlib
import logging

logger = logging.getLogger(__name__)

MOST = 1_048_576
"""No more is asked of the system, whatever it would give."""
UNLIMITED = 65_536
"""What is reckoned with where the system has no limit that could be read."""
RESERVED_SHARE = 4
MAX_RESERVED = 4352
MAX_BACKLOG = 4096


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one; returns what holds from now on."""
    try:
        import resource
    except ImportError:  # Windows
        return UNLIMITED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            logger.debug("Up to %d open files, no longer %d", wanted, soft)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(soft, MOST)


def reserved(limit: int) -> int:
    """How many descriptors of a limit are kept for accepting, files and the database."""
    return min(limit // RESERVED_SHARE, MAX_RESERVED)


def room_for_sockets(limit: int) -> int:
    """How many sockets fit below a limit of open files."""
    return max(8, limit - reserved(limit))


def backlog(limit: int) -> int:
    """How many connections the system may keep ready: all of them can be accepted at one go."""
    return max(8, min(MAX_BACKLOG, reserved(limit) * 3 // 4))
