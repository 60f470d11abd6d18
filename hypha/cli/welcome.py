"""What the server prints when it is ready: where to go, where the data lies, the first steps."""

from __future__ import annotations

from collections.abc import Sequence

from hypha import __version__
from hypha.settings import Settings
from hypha.settings.checks import differing_paths


def welcome(settings: Settings, data_shown: str, notes: Sequence[str] = ()) -> str:
    """The start-up block for a person; `notes` are lines that features add to the first steps."""
    url = settings.announced_base_url
    warning = differing_paths(settings)
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
            *(["", f"  Warning: {warning}"] if warning else []),
            "",
        ]
    )
