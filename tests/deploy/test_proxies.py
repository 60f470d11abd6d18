"""The snippets for nginx and Caddy, run by the real programs before a real server.

Certificates, names and ports are replaced; all else stands as in `deploy/proxies`. The programs are taken
from `HYPHA_TEST_NGINX` and `HYPHA_TEST_CADDY`, or from the path.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from hypha.testing import ServerProcess, eventually, free_port
from tests.kit.clients import Connect
from tests.kit.people import make_person

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "proxies"
MIB = 1024 * 1024


def program(name: str) -> str | None:
    return (
        os.environ.get(f"HYPHA_TEST_{name.upper()}")
        or shutil.which(name)
        or shutil.which(f"/usr/sbin/{name}")
    )


def nginx(folder: Path, port: int, server: int) -> list[str]:
    """Write nginx's configuration: the snippet without its certificates and the redirect to them."""
    text = (FOLDER / "nginx.conf").read_text()
    text = re.sub(r"server \{\n    listen 80;.*?\n\}\n", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r"    ssl_\w+ .*\n", "", text).replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    text = text.replace("127.0.0.1:9527", f"127.0.0.1:{server}")
    text = text.replace("/var/log/nginx/hypha.log", str(folder / "access.log"))
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\n{places}{text}}}\n"
    )
    return ["-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, server: int) -> list[str]:
    """Write Caddy's configuration: the snippet for a port without TLS."""
    text = (FOLDER / "Caddyfile").read_text().replace("hypha.example {", f"http://127.0.0.1:{port} {{")
    text = text.replace("127.0.0.1:9527", f"127.0.0.1:{server}")
    (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


PROXIES: dict[str, Callable[[Path, int, int], list[str]]] = {"nginx": nginx, "caddy": caddy}


class Proxied:
    """A server and its proxy."""

    def __init__(self, kind: str, server: ServerProcess, url: str) -> None:
        self.kind, self.server, self.url = kind, server, url


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=list(PROXIES))
async def proxied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Proxied]:
    executable = program(request.param)
    if executable is None:
        pytest.skip(f"{request.param} is not installed")
    folder, port = tmp_path_factory.mktemp(request.param), free_port()
    url = f"http://127.0.0.1:{port}"
    async with ServerProcess(flags=["--trusted-proxies=127.0.0.1", f"--public-base-url={url}"]) as server:
        line = [executable, *PROXIES[request.param](folder, port, server.port)]
        env = {
            **os.environ,
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }
        process = await asyncio.create_subprocess_exec(
            *line, env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )

        async def answers() -> bool:
            try:
                async with httpx.AsyncClient() as http:
                    return (await http.get(f"{url}/health")).status_code == 200
            except httpx.TransportError:
                return False

        try:
            await eventually(answers, within_s=20, what=f"{request.param} to answer")
            yield Proxied(request.param, server, url)
        finally:
            process.terminate()
            await process.wait()


async def test_clients_call_each_other_and_streams_flow_through_a_proxy(
    proxied: Proxied, module_connect: Connect
) -> None:
    owner = make_person(proxied.server, "proxied")
    released = asyncio.Event()

    async def count(number: int) -> AsyncIterator[int]:
        yield 0
        await released.wait()  # the first item is read before the second is made
        yield number

    provider = await module_connect(owner, url=proxied.url)
    await provider.register_service(
        {"id": "lab", "config": {"visibility": "public"}, "echo": lambda data: data, "count": count}
    )
    caller = await module_connect(owner, url=proxied.url)
    service = await caller.get_service("lab")
    assert await service.echo(b"x" * 3 * MIB) == b"x" * 3 * MIB
    base = f"/{owner.workspace}/services/lab"
    async with httpx.AsyncClient(base_url=proxied.url, timeout=30) as http:
        assert (await http.post(f"{base}/echo", json={"data": "y" * 2 * MIB})).json() == "y" * 2 * MIB
        async with http.stream("GET", f"{base}/count?number=7") as answer:
            seen = ""
            async for part in answer.aiter_text():
                seen += part
                if "0" in seen:
                    released.set()
        assert "7" in seen


async def test_the_server_knows_its_visitors_and_the_metrics_are_not_for_all(proxied: Proxied) -> None:
    async with httpx.AsyncClient(base_url=proxied.url) as http:
        page = await http.get("/", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"})
        assert page.status_code == 200
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        metrics = await http.get("/metrics", headers={"X-Forwarded-For": "6.6.6.6"})
    # nginx lets its own machine read them, as its monitoring does
    assert metrics.status_code == {"nginx": 200, "caddy": 404}[proxied.kind]
