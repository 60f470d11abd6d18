"""The Triton proxy and client against a small server that speaks the inference protocol (core-api 1.6)."""

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
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hypha.testing import ServerProcess, free_port
from tests.conftest import Connect

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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def triton() -> AsyncIterator[ServerProcess]:
    """Our server with one Triton server behind it."""
    app = Starlette(
        routes=[
            Route("/v2/models/{model}/config", config),
            Route("/v2/models/{model}/infer", infer, methods=["POST"]),
            Route("/v2/echo{rest:path}", echo, methods=["GET", "POST"]),
            Route("/v2/slow", slow),
        ]
    )
    port = free_port()
    fake = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    serving = asyncio.create_task(fake.serve())
    flags = ["--triton-servers", f"http://127.0.0.1:{port}/"]
    own = ServerProcess(flags=flags, env={"HYPHA_MAX_BODY": "2000000"})
    await asyncio.to_thread(own.start)
    yield own
    await asyncio.to_thread(own.close)
    fake.should_exit = True
    await serving


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


async def test_the_proxy_passes_requests_on(triton: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=triton.url, timeout=30) as http:
        headers = {"X-Mine": "1", "Cookie": "a=b", "Inference-Header-Content-Length": "7"}
        answer = await http.post("/triton/v2/echo/a%2Fb?x=1&y", content=b"z" * 3_000_000, headers=headers)
        seen: dict[str, Any] = answer.json()
        assert (answer.status_code, answer.headers["x-triton"]) == (201, "yes")
        assert "set-cookie" not in answer.headers
        assert (seen["method"], seen["query"], seen["path"]) == ("POST", "x=1&y", "/v2/echo/a%2Fb")
        assert seen["size"] == 3_000_000
        assert seen["headers"]["x-mine"] == "1"
        assert seen["headers"]["inference-header-content-length"] == "7"
        assert "cookie" not in seen["headers"]
        assert triton.url.rpartition("/")[2] != seen["headers"]["host"]
        assert (await http.get("/triton/v2/missing")).status_code == 404
        assert (await http.delete("/triton/v2/echo")).status_code == 405
        async with http.stream("GET", "/triton/v2/slow", headers={"Accept-Encoding": "identity"}) as stream:
            loop, start = asyncio.get_running_loop(), asyncio.get_running_loop().time()
            parts = [(part, loop.time() - start) async for part in stream.aiter_raw()]
        assert [part for part, _ in parts] == [b"first", b"second"]
        assert parts[0][1] < 0.8


async def test_a_server_that_is_not_there(connect: Connect) -> None:
    own = ServerProcess(flags=["--triton-servers", f"http://127.0.0.1:{free_port()}"])
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
