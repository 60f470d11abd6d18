"""The provider of `docs/authentication.md` runs."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from hypha_rpc import connect_to_server

from tests.kit.clients import StartServer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "authentication.md"


async def test_the_documented_provider_runs(start_server: StartServer, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    code = next(block for block in blocks if "setup" in block)
    file = tmp_path / "my_login.py"
    file.write_text(code)
    own = await start_server(flags=[f"--startup-functions={file}:setup"])
    client = await connect_to_server({"server_url": own.url, "token": "badge-7f3a"})
    assert client.config.workspace == "ws-user-ann"
    token = await client.generate_token()
    await client.disconnect()
    async with httpx.AsyncClient(base_url=own.url, timeout=10) as web:
        url = "/public/services/hypha-login/colleagues"
        assert (await web.get(url, headers={"X-Badge": "badge-7f3a"})).json() == {
            "asked_by": "ann",
            "colleagues": ["ann"],
        }
        minted = await web.get(url, headers={"Authorization": f"Bearer {token}"})
        assert minted.status_code == 200
        assert minted.json()["asked_by"] != "ann"
