"""The edge: paths, probes, limits, CORS, compression, fixed routes."""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from hypha.gateways.http import HttpApplication
from hypha.limits import Buckets, Party
from hypha.limits.turns import party_of_present_work
from hypha.web.client_address import TrustedProxies
from hypha.web.cors import CorsPolicy
from hypha.web.downloads import MAX_BYTES_OF_PARTY, SLICE_BYTES, DownloadLimits, Downloads
from hypha.web.ratelimits import RequestLimits
from hypha.web.scope import SENT_AS_IT_IS
from tests.unit.gateways.http.fakes import FakeServer, client_of, services_of


@pytest.fixture
def server() -> FakeServer:
    server = FakeServer()
    server.add(big=lambda: "x" * 5000, add=lambda a, b: a + b)
    return server


async def raw_get(app: HttpApplication, path: str) -> tuple[int, bytes]:
    """GET a path as it stands, without the tidying that HTTP clients do."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/static/../../x",
        "/a/..",
        "/nul\0.txt",
        "/ws-a/./info",
        "/nope",
        "/a/b/c/d/e/f",
        "//",
    ],
)
async def test_climbing_hidden_and_unknown_paths_are_not_found(server: FakeServer, path: str) -> None:
    status, body = await raw_get(HttpApplication(services_of(server)), path)
    assert status == 404
    assert b"File not found: " in body
    assert b"Traceback" not in body


async def test_probes_answer_and_tell_strangers_nothing_else(server: FakeServer) -> None:
    services = services_of(server)
    async with client_of(server, app=HttpApplication(services)) as http:
        assert (await http.get("/health")).json() == {"status": "HEALTHY"}
        ready = await http.get("/health/readiness")
        assert (ready.status_code, ready.json()["status"]) == (200, "OK")
        assert (await http.get("/health/liveness")).status_code == 200
        services.health.is_ready = False
        assert (await http.get("/health/readiness")).status_code == 503
        assert (await http.get("/health")).status_code == 503


@pytest.mark.spec("core-O2")
async def test_an_admin_sees_the_whole_health_report(server: FakeServer) -> None:
    async with client_of(server) as http:
        report = (await http.get("/health", headers={"authorization": "Bearer root"})).json()
        refused = await http.get("/health", headers={"authorization": "Bearer forged"})
        plain = await http.get("/health", headers={"authorization": "Bearer anna"})
    names = "timestamp status health_score issues memory connections objects event_bus system tasks"
    assert set(names.split()) | {"leak_monitor", "uptime_seconds"} <= set(report)
    assert {"active", "total_created", "total_closed", "orphaned", "leaked_handlers"} <= set(
        report["connections"]
    )
    assert refused.status_code == 401
    assert plain.json() == {"status": "HEALTHY"}


async def test_metrics_are_prometheus_text(server: FakeServer) -> None:
    async with client_of(server) as http:
        answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "websocket_connections 0.0" in answer.text


@pytest.mark.spec("core-H9")
async def test_strangers_are_limited_by_address_and_users_are_not(server: FakeServer) -> None:
    limits = RequestLimits(Buckets(0.01, 10), Buckets(1000, 5000))
    async with client_of(server, limits=limits) as http:
        url = "/ws-user-anna/services/demo/add?a=1&b=2"
        anonymous = [await http.get(url) for _ in range(30)]
        forged = await http.get(url, headers={"authorization": "Bearer forged"})
        spoofed = await http.get(url, headers={"x-forwarded-for": "9.9.9.9"})
        known = [await http.get(url, headers={"authorization": "Bearer anna"}) for _ in range(30)]
        health = [await http.get("/health") for _ in range(30)]
    refused = [answer for answer in anonymous if answer.status_code == 429]
    assert len(refused) >= 15
    assert refused[0].json()["detail"] == "Rate limit exceeded. Please slow down."
    assert int(refused[0].headers["retry-after"]) >= 1
    assert (forged.status_code, spoofed.status_code) == (429, 429)
    assert {answer.status_code for answer in (*known, *health)} == {200}


async def test_a_trusted_proxy_speaks_for_its_clients(server: FakeServer) -> None:
    limits = RequestLimits(Buckets(0.001, 1), Buckets(0, 0))
    async with client_of(server, limits=limits, proxies=TrustedProxies(["127.0.0.0/8"])) as http:
        first = await http.get("/login", headers={"x-forwarded-for": "6.6.6.6, 9.9.9.1"})
        again = await http.get("/login", headers={"x-forwarded-for": "7.7.7.7, 9.9.9.1"})
        other = await http.get("/login", headers={"x-forwarded-for": "9.9.9.2, 127.0.0.9"})
    assert [a.status_code for a in (first, again, other)] == [307, 429, 307]


async def test_addresses_of_one_ipv6_network_share_a_limit(server: FakeServer) -> None:
    limits = RequestLimits(Buckets(0.001, 1), Buckets(0, 0))
    async with client_of(server, limits=limits, proxies=TrustedProxies(["127.0.0.0/8"])) as http:
        answers = [
            await http.get("/login", headers={"x-forwarded-for": address})
            for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
        ]
    assert [answer.status_code for answer in answers] == [307, 429, 307]


@pytest.mark.spec("core-H8")
async def test_cors_echoes_the_origin_and_answers_preflights(server: FakeServer) -> None:
    ask = {"origin": "https://page.test", "access-control-request-method": "POST"}
    async with client_of(server) as http:
        preflight = await http.options("/ws-user-anna/services/demo/add", headers=ask)
        answer = await http.get("/login", headers={"origin": "https://page.test"})
        refused = await http.get("/nope", headers={"origin": "https://page.test"})
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    for got in (preflight, answer, refused):
        assert got.headers["access-control-allow-origin"] == "https://page.test"
        assert "access-control-allow-credentials" not in got.headers


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/health/readiness",
        "/health/liveness",
        "/metrics",
        "/openapi.json",
        "/ws",
        "/nope",
        "/a/../b",
    ],
)
async def test_pages_of_other_sites_may_read_every_answer(server: FakeServer, path: str) -> None:
    origin = {"origin": "https://page.test"}
    async with client_of(server) as http:
        answer = await http.get(path, headers=origin)
        preflight = await http.options(path, headers={**origin, "access-control-request-method": "GET"})
    for got in (answer, preflight):
        assert got.headers.get_list("access-control-allow-origin") == ["https://page.test"]
    assert preflight.status_code == 200


async def test_pages_of_other_sites_may_read_what_is_left_of_a_limit(server: FakeServer) -> None:
    limits = RequestLimits(Buckets(0.001, 3), Buckets(0, 0))
    origin = {"origin": "https://page.test"}
    async with client_of(server, limits=limits) as http:
        answers = [await http.get(path, headers=origin) for path in ("/login", "/nope", "/login", "/login")]
    assert [answer.status_code for answer in answers] == [307, 404, 307, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    for answer in answers:
        exposed = answer.headers["access-control-expose-headers"].lower()
        shown = {name for name in answer.headers if name.startswith(("x-ratelimit-", "retry-after"))}
        assert shown >= {"x-ratelimit-limit", "x-ratelimit-remaining"}
        assert shown <= set(exposed.split(", "))
    assert "retry-after" in answers[-1].headers


async def test_only_configured_origins_are_echoed(server: FakeServer) -> None:
    ask = {"origin": "https://evil.test", "access-control-request-method": "POST"}
    async with client_of(server, cors=CorsPolicy(["https://page.test"])) as http:
        preflight = await http.options("/login", headers=ask)
        answer = await http.get("/login", headers={"origin": "https://evil.test"})
        good = await http.get("/login", headers={"origin": "https://page.test"})
    assert preflight.status_code == 400
    assert "access-control-allow-origin" not in answer.headers
    assert good.headers["access-control-allow-origin"] == "https://page.test"


async def test_large_text_is_compressed_for_those_who_accept_it(server: FakeServer) -> None:
    async with client_of(server) as http:
        url = "/ws-user-anna/services/demo/big"
        plain = await http.get(url)
        zipped = await http.get(url, headers={"accept-encoding": "gzip"})
        small = await http.get("/login", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.json() == plain.json()
    assert "content-encoding" not in small.headers


@pytest.mark.parametrize("accepted", ["br", "zstd", "br, zstd;q=0.5"])
async def test_large_answers_are_compressed_by_their_makers_or_not_at_all(
    server: FakeServer, accepted: str
) -> None:
    server.add("large", f=lambda: "x" * 1_000_000)  # a turn of the event loop is no place for it
    url = "/ws-user-anna/services/large/f"
    async with client_of(server) as http:
        answer = await http.get(url, headers={"accept-encoding": accepted})
    assert "content-encoding" not in answer.headers
    assert answer.json() == "x" * 1_000_000


async def test_a_large_answer_leaves_in_slices_and_counts_for_who_asks(server: FakeServer) -> None:
    server.add("large", f=lambda: "x" * 1_000_000)
    services = services_of(server, downloads=Downloads(DownloadLimits(wait_s=0.01)))
    sizes = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            sizes.append((len(message.get("body", b"")), services.downloads.kept))
            await send(message)

        await HttpApplication(services)(scope, receive, watched)

    url, stranger = "/ws-user-anna/services/large/f", services.downloads.of(Party("127.0.0.1", True))
    async with client_of(server, app=app) as http:
        assert (await http.get(url)).json() == "x" * 1_000_000
        assert max(size for size, _ in sizes) <= SLICE_BYTES
        assert {kept for size, kept in sizes if size} == {1_000_002}
        assert services.downloads.kept == 0
        await stranger.keep(MAX_BYTES_OF_PARTY)
        refused = await http.get(url)
        assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
        assert (await http.get(url, headers={"authorization": "Bearer anna"})).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"accept-encoding": "gzip"}])
@pytest.mark.parametrize("streamed", [False, True])
async def test_answers_above_64_kib_and_parts_of_streamed_ones_count_until_they_are_read(
    server: FakeServer, streamed: bool, headers: dict[str, str]
) -> None:
    text = os.urandom(60_000).hex()  # which gzip makes no smaller than 60 KB
    one = {"_rtype": "generator", "_items": [text, text]} if streamed else text + text
    server.add("large", f=lambda: one)
    services = services_of(server, downloads=Downloads(DownloadLimits()))
    sent: list[tuple[int, int, bool]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.body":
                more = message.get("more_body", False)
                sent.append((len(message.get("body", b"")), services.downloads.kept, more))
            await send(message)

        await HttpApplication(services)(scope, receive, watched)

    async with client_of(server, app=app) as http:
        answer = await http.get("/ws-user-anna/services/large/f", headers=headers)
    assert answer.text.count(text) == 2
    assert services.downloads.kept == 0
    large = [index for index, (size, _, _) in enumerate(sent) if size > 64 * 1024]
    assert len(large) == (2 if streamed else 1)
    for index in large:
        assert sent[index][1] >= 120_000 and sent[index][2], "it counts, and is not the last message"
        assert sent[index + 1][0] == 0 and (sent[index + 1][1] >= 120_000 or not sent[index + 1][2])


async def test_small_answers_are_sent_at_once_and_count_nowhere(server: FakeServer) -> None:
    server.add("small", f=lambda: "x" * 60_000)
    services = services_of(server, downloads=Downloads(DownloadLimits()))
    sent: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            sent.append(services.downloads.kept)
            await send(message)

        await HttpApplication(services)(scope, receive, watched)

    async with client_of(server, app=app) as http:
        assert (await http.get("/ws-user-anna/services/small/f")).status_code == 200
    assert sent == [0, 0]


async def test_streams_of_events_are_never_compressed(server: FakeServer) -> None:
    server.add("gen", f=lambda: {"_rtype": "generator", "_items": ["x" * 2000]})
    async with client_of(server) as http:
        answer = await http.get("/ws-user-anna/services/gen/f", headers={"accept-encoding": "gzip, br, zstd"})
    assert "content-encoding" not in answer.headers
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_everything_lies_below_the_base_path(server: FakeServer) -> None:
    async with client_of(server, base_path="/my/engine") as http:
        assert (await http.get("/my/engine/health/readiness")).status_code == 200
        assert (await http.get("/my/engine/ws-user-anna/services/demo/add?a=1&b=2")).json() == 3
        assert (await http.get("/my/engine/login")).headers["location"] == (
            "/my/engine/public/apps/hypha-login/"
        )
        to_list = await http.get("/my/engine/ws-user-anna/services")
        assert to_list.headers["location"] == "/my/engine/ws-user-anna/services/"
        for outside in ("/health", "/my/enginehealth", "/login", "/my"):
            assert (await http.get(outside)).status_code == 404


async def test_mounts_keep_their_first_word_for_themselves(server: FakeServer) -> None:
    async def page(request: Any) -> Any:
        return PlainTextResponse("mounted " + request.path_params["path"])

    mount = Mount("/tools", routes=[Route("/{path:path}", page)])
    last = Route("/{page}", page_of("fallback"))
    app = HttpApplication(services_of(server), first=[mount], last=[last])
    async with client_of(server, app=app) as http:
        assert (await http.get("/tools/services/a/b")).text == "mounted services/a/b"
        assert (await http.get("/about")).text == "fallback"


@pytest.mark.parametrize(("marks", "encoding"), [((), "gzip"), ((SENT_AS_IT_IS,), None)])
async def test_files_are_not_compressed_on_the_way(
    server: FakeServer, marks: tuple[str, ...], encoding: str | None
) -> None:
    async def page(request: Any) -> Any:
        request.scope.update(dict.fromkeys(marks, True))
        return PlainTextResponse("text " * 1000)

    async with client_of(
        server, app=HttpApplication(services_of(server), first=[Route("/file", page)])
    ) as http:
        answer = await http.get("/file", headers={"accept-encoding": "gzip"})
    assert answer.headers.get("content-encoding") == encoding
    assert (answer.headers.get("content-length") == "5000") is (encoding is None)
    assert answer.text == "text " * 1000


async def test_every_route_takes_turns_as_whoever_asks(server: FakeServer) -> None:
    async def page(request: Any) -> Any:
        return PlainTextResponse(party_of_present_work())

    app = HttpApplication(services_of(server), first=[Route("/turn", page)])
    async with client_of(server, app=app) as http:
        assert (await http.get("/turn")).text == "127.0.0.1"
        assert (await http.get("/turn", headers={"authorization": "Bearer anna"})).text == "user anna"
    assert party_of_present_work() == ""


def page_of(text: str) -> Any:
    async def page(request: Any) -> Any:
        return PlainTextResponse(text)

    return page


async def test_routes_of_absent_features_say_so(server: FakeServer) -> None:
    inactive = {
        "/triton": "Triton is not part of this server yet.",
        "/{workspace}/apps": "Server apps are off.",
    }
    async with client_of(server, inactive=inactive) as http:
        answers = [await http.get("/triton/v2"), await http.get("/ws-user-anna/apps")]
    assert [a.status_code for a in answers] == [404, 404]
    assert [a.json()["detail"] for a in answers] == list(inactive.values())


@pytest.mark.spec("core-H7")
async def test_service_list_and_workspace_info_for_owner_stranger_and_missing(server: FakeServer) -> None:
    owner = {"authorization": "Bearer anna"}
    async with client_of(server) as http:
        listed = await http.get("/ws-user-anna/services/")
        info = await http.get("/ws-user-anna/info", headers=owner)
        refused = await http.get("/ws-user-anna/info")
        missing = [await http.get(f"/ws-none/{page}", headers=owner) for page in ("info", "services/")]
    assert listed.json()[0] == {"id": "c:demo", "seen_by": "anonymouz-http", "in": "ws-anonymous"}
    assert info.json() == {"id": "ws-user-anna"}
    assert refused.status_code == 403
    assert refused.json()["detail"] == "anonymouz-http has no permission to access ws-user-anna"
    assert [a.status_code for a in missing] == [404, 404]


async def test_service_info_and_the_managers_own(server: FakeServer) -> None:
    async with client_of(server) as http:
        info = await http.get("/ws-user-anna/services/demo")
        manager = await http.get("/public/services/ws")
        server.change(visibility="protected")
        refused = await http.get("/ws-user-anna/services/demo")
        missing = await http.get("/ws-user-anna/services/none")
    assert info.json()["id"] == "ws-user-anna/provider:demo"
    assert manager.json()["id"] == "~"
    assert "echo" in manager.json()["service_schema"]
    assert (refused.status_code, missing.status_code) == (403, 404)


async def test_fixed_routes(server: FakeServer) -> None:
    async with client_of(server) as http:
        login = await http.get("/login?key=1")
        socket = await http.get("/ws")
        config = (await http.get("/assets/config.json", headers={"authorization": "Bearer anna"})).json()
        stranger = (await http.get("/assets/config.json")).json()
        wrong = await http.put("/login")
    assert (login.status_code, login.headers["location"]) == (307, "/public/apps/hypha-login/?key=1")
    assert (socket.status_code, socket.headers["upgrade"]) == (426, "websocket")
    assert socket.json()["code"] == "upgrade_required"
    assert (config["server_id"], config["user"]["id"]) == ("s1", "anna")
    assert stranger["user"] is None
    assert wrong.status_code == 405
    assert wrong.json()["success"] is False


async def test_the_openapi_document_describes_routes_and_manager(server: FakeServer) -> None:
    async with client_of(server) as http:
        document = (await http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert "/{workspace}/services/{service}/{function}" in document["paths"]
    assert "/{workspace}/services/ws/echo" in document["paths"]
    assert all("responses" in op for path in document["paths"].values() for op in path.values())


async def test_head_is_answered_like_get(server: FakeServer) -> None:
    async with client_of(server) as http:
        answer: httpx.Response = await http.head("/health")
    assert answer.status_code == 200
