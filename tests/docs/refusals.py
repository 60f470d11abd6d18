"""How clients are refused: the table of docs/spec/wire-protocol.md, held against what they hear."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest

from hypha.testing.rawclient import RawRefused
from tests.docs.pages import SPEC, code_in, is_like, section, tables

ESTABLISH = "Failed to establish connection: "
ROWS = {
    row[0]: row[1:] for row in next(tables(section((SPEC / "wire-protocol.md").read_text(), "refusals"))).rows
}


async def check_refusal(name: str, attempt: Awaitable[None]) -> None:
    """An attempt to connect is refused as the row of this name says."""
    code, text = ROWS[name]
    wanted = code_in(text)[0]
    with pytest.raises(RawRefused) as refused:
        await attempt
    error = refused.value
    assert error.code == int(code.partition(",")[0])
    if "no `error`" in code:
        assert not error.message
        assert is_like(wanted, error.reason)
        return
    said = error.message.removeprefix(ESTABLISH) if error.code == 1001 else error.message
    assert said != error.message or error.code != 1001
    assert is_like(wanted, said)
    assert error.message.startswith(error.reason.removesuffix("..."))
