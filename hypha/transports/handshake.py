"""How the handshake of a WebSocket ends, whatever carries it (docs/spec/wire-protocol.md#refusals)."""

from __future__ import annotations

import logging
from urllib.parse import parse_qsl

from hypha.limits.turns import on_behalf_of
from hypha.networks import throttled
from hypha.transports.link import Link
from hypha.transports.reception import BUSY
from hypha.wire.handshake import OBSOLETE_QUERY_KEYS, Busy, Refused, parse_first_message

logger = logging.getLogger(__name__)


def is_obsolete(link: Link, query: str) -> bool:
    """Close the link of a client that names itself in the query, as clients before `hypha-rpc` did."""
    if OBSOLETE_QUERY_KEYS.isdisjoint(key for key, _ in parse_qsl(query, keep_blank_values=True)):
        return False
    link.close(1008, "Connection rejected, please  upgrade to `hypha-rpc`: use no query parameters")
    return True


async def shake_hands(link: Link, text: str | bytes) -> bool:
    """Admit the client that its first message describes, or tell it why not and close the link.

    Returns:
        True if the link has its client and `connection_info` is on its way.
    """
    try:
        with on_behalf_of(throttled(link.peer_address)):
            client = await link.reception.admit(parse_first_message(text), link)
    except Refused as error:
        _refuse(link, error)
    except Busy as error:
        logger.warning("A connection has to wait: %s", error.message)
        link.close(1013, BUSY)
    except Exception:
        logger.exception("A handshake failed")
        _refuse(link, Refused("Failed to establish connection: the server failed; try again", 1011))
    else:
        link.admitted(client)
        return True
    return False


def refuse_late(link: Link) -> None:
    """The client sent no first message in time."""
    _refuse(link, Refused("Authentication payload timeout", 1008))


def refuse_not_text(link: Link) -> None:
    """The client's first message wasn't text."""
    _refuse(link, Refused("Failed to decode authentication information: send text first", 1003))


def _refuse(link: Link, error: Refused) -> None:
    """Tell the client why it isn't admitted, and close its link with the error's code."""
    logger.info("Refused a connection from %s: %s", link.peer_address, error.message)
    link.send_control({"type": "error", "message": error.message})
    link.close(error.close_code, error.message)
