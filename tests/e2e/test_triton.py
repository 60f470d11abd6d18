"""The Triton proxy and client against a small server that speaks the inference protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hypha.testing import ServerProcess, free_port
from tests.kit.clients import Connect, StartServer
from tests.kit.people import Person, make_person

CONFIG = {
    "name": "double",
    "input": [
        {"name": "X", "data_type": "TYPE_FP32", "dims": [-1]},
        {"name": "S", "data_type": "TYPE_STRING"},
    ],
    "output": [{"name": "Y", "data_type": "TYPE_FP32"}, {"name": "T", "data_type": "TYPE_STRING"}],
}


async def many_bytes() -> AsyncIterator[bytes]:
    """40 MB, without saying so beforehand."""
    for _ in range(610):
        yield b" " * 65_536


async def config(request: Request) -> Response:
    if request.path_params["model"].startswith("huge-config"):
        return StreamingResponse(many_bytes(), media_type="application/json")
    if request.path_params["model"] not in ("double", "huge"):
        return JSONResponse({"error": "Request for unknown model: 'x' is not found"}, 400)
    return JSONResponse(CONFIG)


async def infer(request: Request) -> Response:
    """Double X; return S as it came."""
    if request.path_params["model"] == "huge":
        return StreamingResponse(many_bytes())
    body = await request.body()
    length = int(request.headers["inference-header-content-length"])
    head, rest = orjson.loads(body[:length]), body[length:]
    outputs, parts = [], b""
    for tensor in head["inputs"]:
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is None:
            data = np.array(tensor["data"], dtype="float32").tobytes()
        else:
            data, rest = rest[:size], rest[size:]
        if tensor["name"] == "X":
            data = (np.frombuffer(data, dtype="float32") * 2).tobytes()
        name = {"X": "Y", "S": "T"}[tensor["name"]]
        wanted = [entry["name"] for entry in head.get("outputs", [])]
        if wanted and name not in wanted:
            continue
        size_of = {"binary_data_size": len(data)}
        outputs.append({**tensor, "name": name, "parameters": size_of} | {"data": None})
        parts += data
    packed = orjson.dumps({"outputs": [{k: v for k, v in o.items() if k != "data"} for o in outputs]})
    return Response(packed + parts, headers={"Inference-Header-Content-Length": str(len(packed))})


async def echo(request: Request) -> Response:
    size = largest = 0
    async for part in request.stream():
        size, largest = size + len(part), max(largest, len(part))
    seen = {
        "method": request.method, "query": str(request.url.query), "path": request.scope["raw_path"].decode(),
        "headers": dict(request.headers), "size": size,
    }  # fmt: skip
    return JSONResponse(seen, 201, headers={"X-Triton": "yes", "Set-Cookie": "access_token=1"})


async def slow(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.sleep(1)
        yield b"second"

    return StreamingResponse(parts())


async def page_of_triton(request: Request) -> Response:
    return HTMLResponse(
        "<script>alert(document.domain)</script>", headers={"Location": "/", "X-Accel-Redirect": "/x"}
    )


CONTROLLED: list[str] = []


async def control(request: Request) -> Response:
    CONTROLLED.append(request.scope["raw_path"].decode())
    return JSONResponse({})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def backend() -> AsyncIterator[str]:
    """A server that speaks the inference protocol."""
    app = Starlette(
        routes=[
            Route("/v2/models/{model}/config", config),
            Route("/v2/models/{model}/infer", infer, methods=["POST"]),
            Route("/v2/models/echo/generate", echo, methods=["POST"]),
            Route("/v2/models/echo", echo),
            Route("/v2/models/slow/ready", slow),
            Route("/v2/models/page/ready", page_of_triton),
            Route("/v2/repository/{rest:path}", control, methods=["GET", "POST"]),
            Route("/{rest:path}", control, methods=["GET", "POST"]),
        ]
    )
    port = free_port()
    fake = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    serving = asyncio.create_task(fake.serve())
    yield f"http://127.0.0.1:{port}/"
    fake.should_exit = True
    await serving


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def triton(backend: str) -> AsyncIterator[ServerProcess]:
    """Our server with one Triton server behind it, open to all."""
    flags = ["--triton-servers", backend, "--triton-public"]
    own = ServerProcess(flags=flags, env={"HYPHA_MAX_BODY": "2000000"})
    await asyncio.to_thread(own.start)
    yield own
    await asyncio.to_thread(own.close)


async def test_execute_and_get_config(triton: ServerProcess, connect: Connect) -> None:
    client = await connect(url=triton.url)
    service = await client.get_service("public/triton-client")
    assert await service.get_config("double") == CONFIG
    found = await service.execute("double", [np.array([[1, 2], [3, 4]], dtype="float32"), ["a", "bc"]])
    np.testing.assert_array_equal(found["Y"], np.array([[2, 4], [6, 8]], dtype="float32"))
    assert found["T"] == [b"a", b"bc"]
    found = await service.execute("double", {"X": [1.5, 2]}, select_outputs=["Y"])
    assert list(found) == ["Y"]
    np.testing.assert_array_equal(found["Y"], np.array([3, 4], dtype="float32"))


async def test_refusals_of_the_client(triton: ServerProcess, connect: Connect) -> None:
    service = await (await connect(url=triton.url)).get_service("public/triton-client")
    for call, text in (
        (service.execute("missing", []), "Model not found"),
        (service.execute("../x", []), "Invalid model name"),
        (service.execute("double", 5), "inputs is a list"),
        (service.execute("double", {"Z": 1}), "no input 'Z'"),
        (service.execute("double", [1, 2, 3]), "takes 2 inputs"),
        (service.execute("double", [[[1], [2, 3]]]), "differ in length"),
        (service.execute("double", [], server_url="http://127.0.0.1:1"), "Permission denied"),
        (service.get_config("double", "http://169.254.169.254"), "Permission denied"),
    ):
        with pytest.raises(Exception, match=text):
            await call


async def test_answers_of_the_server_are_bounded(triton: ServerProcess, connect: Connect) -> None:
    service = await (await connect(url=triton.url)).get_service("public/triton-client")
    for call in (service.execute("huge", [[1.0]]), service.get_config("huge-config")):
        with pytest.raises(Exception, match=r"FrameTooLarge: The answer .* limit of 2000000 bytes"):
            await call
    async with httpx.AsyncClient(base_url=triton.url, timeout=30) as http:
        answer = await http.get("/public/services/triton-client/get_config?model_name=huge-config")
        assert (answer.status_code, answer.json()["code"]) == (413, "frame_too_large")
    many = np.ones(490_000, dtype="float32")
    assert (await service.execute("double", {"X": many}))["Y"].shape == (490_000,)
    with pytest.raises(Exception, match=r"execute takes at most 16,777,216 bytes"):
        await service.execute("double", {"X": np.ones(4_200_000, dtype="float32")})


async def test_the_proxy_passes_requests_on(triton: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=triton.url, timeout=30) as http:
        headers = {"X-Mine": "1", "Cookie": "a=b", "Inference-Header-Content-Length": "7", "Accept": "a/b"}
        answer = await http.post(
            "/triton/v2/models/%65cho/generate?x=1&y", content=b"z" * 3_000_000, headers=headers
        )
        seen: dict[str, Any] = answer.json()
        assert answer.status_code == 201
        assert (seen["method"], seen["query"], seen["path"]) == ("POST", "x=1&y", "/v2/models/echo/generate")
        assert seen["size"] == 3_000_000
        assert seen["headers"]["inference-header-content-length"] == "7"
        assert seen["headers"]["accept"] == "a/b"
        assert triton.url.rpartition("/")[2] != seen["headers"]["host"]
        assert (await http.delete("/triton/v2/models/echo")).status_code == 405
        async with http.stream(
            "GET", "/triton/v2/models/slow/ready", headers={"Accept-Encoding": "identity"}
        ) as stream:
            loop, start = asyncio.get_running_loop(), asyncio.get_running_loop().time()
            parts = [(part, loop.time() - start) async for part in stream.aiter_raw()]
        assert [part for part, _ in parts] == [b"first", b"second"]
        assert parts[0][1] < 0.8


async def test_nothing_of_a_visitor_reaches_triton_but_the_request(
    triton: ServerProcess, alice: Person
) -> None:
    token = alice.token
    headers = {
        "Authorization": f"Bearer {token}",
        "X-Local-Auth": token,
        "Cookie": f"access_token={token}",
        "Referer": f"https://here/?token={token}",
        "X-Mine": "1",
        "X-Forwarded-For": "1.2.3.4",
    }
    async with httpx.AsyncClient(base_url=triton.url, headers=headers) as http:
        for _ in range(2):  # a cookie of the first answer would come back with the second request
            answer = await http.get(f"/triton/v2/models/echo?a=1&token={token}")
        seen: dict[str, Any] = answer.json()
    assert seen["query"] == "a=1"
    assert set(seen["headers"]) <= {"host", "accept", "accept-encoding", "connection", "user-agent"}
    assert token not in answer.text


async def test_answers_of_triton_are_data_and_no_page(triton: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=triton.url) as http:
        for path in ("page/ready", "echo"):
            answer = await http.get(f"/triton/v2/models/{path}")
            assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
            assert answer.headers["x-content-type-options"] == "nosniff"
            ours = {
                "content-type", "content-length", "content-security-policy", "x-content-type-options",
                "cache-control", "date", "server", "content-encoding", "transfer-encoding", "vary",
                "x-ratelimit-limit", "x-ratelimit-remaining",
            }  # fmt: skip
            assert set(answer.headers) <= ours


@pytest.mark.parametrize(
    "path",
    [
        "v2/repository/index",
        "v2/repository/models/m/load",
        "v2/repository/models/m/unload",
        "v2/models/../repository/models/m/load",
        "v2/models/..%2f..%2frepository/models/m/load",
        "v2/models/m%2f..%2f..%2frepository%2findex",
        "v2//repository/index",
        "/v2/repository/index",
        "v2/%72epository/index",
        "v2/%2572epository/index",
        "v2/logging",
        "v2/trace/setting",
        "v2/systemsharedmemory/region/x/register",
        "metrics",
    ],
)
async def test_the_repository_cannot_be_controlled_through_the_proxy(
    triton: ServerProcess, path: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(triton.url.rpartition(":")[2]))
    for method in ("GET", "POST"):  # by a socket: client libraries tidy paths up
        head = f"{method} /triton/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {triton.root_token}\r\n"
        writer.write(f"{head}Content-Length: 0\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        assert answer.split()[1] == b"404", answer
    writer.close()
    assert CONTROLLED == []


async def test_triton_needs_read_write_on_the_named_workspace(
    backend: str, start_server: StartServer, connect: Connect
) -> None:
    own = await start_server(flags=["--triton-servers", backend, "--triton-workspace", "the-lab"])
    anna = make_person(own, "anna")
    await (await connect(anna, url=own.url)).create_workspace({"id": "the-lab", "persistent": True})
    tokens: dict[str, tuple[str | None, bool]] = {
        "a stranger": (None, False),
        "a user of another workspace": (make_person(own, "bert").token, False),
        "a reader": (anna.token_for("r", "the-lab"), False),
        "a child of the owner for another workspace": (anna.token_for("a"), False),
        "a member": (anna.token_for("rw", "the-lab"), True),
        "the owner": (anna.token, True),
        "root": (own.root_token, True),
    }
    async with httpx.AsyncClient(base_url=own.url) as http:
        for who, (token, may) in tokens.items():
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            for url in (
                "/triton/v2/models/echo",
                "/triton/v2/models/double/config",
                "/public/services/triton-client/get_config?model_name=double",
            ):
                answer = await http.get(url, headers=headers)
                assert (answer.status_code < 300, answer.status_code == 403) == (may, not may), (who, url)
            body = {"model_name": "double", "inputs": [[1.0]]}
            answer = await http.post("/public/services/triton-client/execute", json=body, headers=headers)
            assert (answer.status_code == 403) is not may, (who, answer.text)
            if token is None:
                client = await connect(url=own.url)
            else:
                client = await connect(url=own.url, token=token)
            service = await client.get_service("public/triton-client")
            if may:
                assert await service.get_config("double") == CONFIG
            else:
                with pytest.raises(Exception, match="Permission denied"):
                    await service.get_config("double")


async def test_without_a_named_workspace_triton_is_the_operators(
    backend: str, start_server: StartServer
) -> None:
    own = await start_server(flags=["--triton-servers", backend])
    person = make_person(own, "anna")
    async with httpx.AsyncClient(base_url=own.url) as http:
        for token, status in ((None, 403), (person.token, 403), (own.root_token, 200)):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            for url in ("/triton/v2/models/double/config", "/triton/v2/models/slow/ready"):
                assert (await http.get(url, headers=headers)).status_code == status
            answer = await http.get("/triton/v2/repository/index", headers=headers)
            assert answer.status_code == (404 if status == 200 else 403)


async def test_a_server_that_is_not_there(connect: Connect) -> None:
    own = ServerProcess(flags=["--triton-servers", f"http://127.0.0.1:{free_port()}", "--triton-public"])
    await asyncio.to_thread(own.start)
    try:
        async with httpx.AsyncClient(base_url=own.url) as http:
            answer = await http.get("/triton/v2/health/ready")
            assert (answer.status_code, answer.json()["code"]) == (503, "backend_unavailable")
            assert answer.json()["detail"] == "The Triton server cannot be reached."
            called = await http.get("/public/services/triton-client/get_config?model_name=x")
            assert called.status_code == 503
    finally:
        await asyncio.to_thread(own.close)


async def test_without_the_option_there_is_nothing(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get("/triton/v2/health/ready")).status_code == 404
        assert (await http.get("/public/services/triton-client")).status_code == 404
