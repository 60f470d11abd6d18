"""A real OpenID Connect server in Node, and a browser-like person who walks through its pages."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from hypha.testing.server import ServerProcess, free_port
from tests.kit.clients import require_node

JS_FOLDER = Path(__file__).parents[1] / "js"
AUDIENCE = "https://api.lab.example"
CLIENT_ID = "hypha-test"
CLIENT_SECRET = "a-secret-of-the-client-that-is-long-enough"


class OidcServer:
    """The process of tests/js/oidc-server.mjs; what it can be told to do wrong stands there."""

    def __init__(self, *redirect_uris: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.issuer = f"{self.url}/"
        self.discovery_url = f"{self.url}/.well-known/openid-configuration"
        self._redirect_uris = redirect_uris
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> OidcServer:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            ["node", "oidc-server.mjs", str(self.port), AUDIENCE, ",".join(self._redirect_uris)],
            cwd=JS_FOLDER,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if httpx.get(self.discovery_url, timeout=2).status_code == 200:
                    return self
            except httpx.HTTPError:
                time.sleep(0.05)
        raise AssertionError("the OpenID Connect server did not start")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def tell(self, action: str, **wanted: Any) -> dict[str, Any]:
        """Do something of its `/test/...` addresses."""
        async with httpx.AsyncClient(verify=False) as client:
            answer = await client.post(f"{self.url}/test/{action}", json=wanted)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
            return found

    async def sign(self, **wanted: Any) -> str:
        """A token as asked for."""
        return str((await self.tell("sign", **wanted))["token"])


class Visitor:
    """A browser without JavaScript: it follows redirects one by one and keeps cookies."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.client = httpx.AsyncClient(
            verify=False, follow_redirects=False, headers={"accept": "text/html"}, timeout=20
        )

    async def start(self, provider: str = "lab", **query: str) -> httpx.Response:
        """Press the provider's button."""
        return await self.client.get(f"{self.server.url}/oidc/{provider}/start", params=query)

    async def sign_in(self, account: str, provider: str = "lab", **query: str) -> httpx.Response:
        """Press the button, sign in at the provider, agree there; returns our answer to the callback."""
        return await self.client.get(await self.callback_url(account, provider, **query))

    async def callback_url(self, account: str, provider: str = "lab", **query: str) -> str:
        """The same up to the provider's last redirect, which is not followed."""
        answer = await self.start(provider, **query)
        assert answer.status_code == 302, answer.text
        return await self.walk(answer, account)

    async def walk(self, answer: httpx.Response, account: str) -> str:
        """Go through the provider's pages; returns the address of ours to which the last one leads."""
        for _ in range(12):
            if answer.is_redirect:
                url = urljoin(str(answer.url), answer.headers["location"])
                if url.startswith(self.server.url):
                    return url
                answer = await self.client.get(url)
                continue
            form = re.search(r'action="([^"]+)" method="post"', answer.text)
            assert form and answer.status_code == 200, answer.text
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert prompt
            fields = {"prompt": prompt[1]}
            if prompt[1] == "login":
                fields |= {"login": account, "password": "any"}
            answer = await self.client.post(urljoin(str(answer.url), form[1]), data=fields)
        raise AssertionError(f"no end of pages, the last: {answer.text[:500]}")

    @property
    def token(self) -> str | None:
        """Our token, if the sign-in gave one."""
        return next((each.value for each in self.client.cookies.jar if each.name == "access_token"), None)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()


def query_of(url: str) -> dict[str, str]:
    """The query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def whoami(server: ServerProcess, token: str) -> httpx.Response:
    """Ask the server whose token this is: a map with `user`, or the refusal."""
    async with httpx.AsyncClient(
        verify=False, headers={"authorization": f"Bearer {token}"}, timeout=20
    ) as client:
        refused = await client.get(f"{server.url}/public/services/ws/echo?data=1")
        return refused if refused.is_error else await client.get(f"{server.url}/assets/config.json")


def require_oidc_server() -> None:
    """Skip the test with a clear sentence when Node or the provider's package is missing."""
    require_node()
    if not (JS_FOLDER / "node_modules" / "oidc-provider").is_dir():
        pytest.skip("the npm packages are missing: run `npm install` in tests/js")
