"""What the server prints when it is ready: where to go, where the data lies, the first steps."""

from __future__ import annotations

from collections.abc import Sequence

from hypha import __version__
from hypha.settings import Settings

_ANY_ADDRESS = ("0.0.0.0", "::", "")


def welcome(settings: Settings, data_shown: str, notes: Sequence[str] = ()) -> str:
    """The start-up block for a person; `notes` are lines that features add to the first steps."""
    host = "127.0.0.1" if settings.host in _ANY_ADDRESS else settings.host
    host = f"[{host}]" if ":" in host else host
    url = (settings.public_base_url or "").rstrip("/") or f"http://{host}:{settings.port}{settings.url_path}"
    return "\n".join(
        [
            "",
            f"  Hypha {__version__} is ready at {url}",
            f"  Data: {data_shown}",
            "",
            "  First steps",
            f"    open   {url}",
            "    try    pip install hypha-rpc, then:",
            "           from hypha_rpc.sync import connect_to_server",
            f'           server = connect_to_server({{"server_url": "{url}"}})',
            f"    check  curl {url}/health/readiness",
            *(f"    {note}" for note in notes),
            "    stop   Ctrl-C",
            "",
        ]
    )
