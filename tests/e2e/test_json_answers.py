"""What becomes of the values of real clients in a JSON answer."""

# No postponed annotations here: the client library derives schemas from the real types.
import io
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from hypha.testing import NodeWorker, RawClient, ServerProcess
from tests.kit.clients import Connect, ConnectRaw
from tests.kit.people import Person


class Crash(Exception):
    """An error of the provider's own."""


def crash() -> None:
    raise Crash("the model was not found")


def group() -> None:
    raise ExceptionGroup("two things", [KeyError("a"), ValueError("b")])


async def group_later() -> None:
    group()


async def crash_later() -> None:
    crash()


async def arrays() -> AsyncIterator[Any]:
    yield np.arange(2)
    yield b"\x00"


FUNCTIONS = {
    "scalar": lambda: np.float32(0.5),
    "scalars": lambda: {"n": np.int64(7), "flag": np.bool_(True), "x": [np.float64(1.5)]},
    "array": lambda: np.arange(6, dtype="uint16").reshape(2, 3),
    "image": lambda: np.zeros((4, 4, 3), "uint8"),
    "raw": lambda: b"\x00\x01",
    "view": lambda: memoryview(b"\x00\x01"),
    "many": lambda: {"a": {1, 2}, "b": (1, 2), "c": OrderedDict(x=1), "d": float("nan"), "e": 2**63},
    "file": lambda: io.BytesIO(b"abc"),
    "arrays": arrays,
    "crash": crash,
    "crash_later": crash_later,
    "group": group,
    "group_later": group_later,
}


@pytest_asyncio.fixture(loop_scope="session")
async def http(server: ServerProcess, connect: Connect, alice: Person) -> AsyncIterator[httpx.AsyncClient]:
    client = await connect(alice, client_id="lab")
    await client.register_service({"id": "svc", "config": {"visibility": "public"}, **FUNCTIONS})
    base = f"{server.url}/{alice.workspace}/services/svc/"
    async with httpx.AsyncClient(base_url=base, timeout=20) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scalar", 0.5), ("scalars", {"n": 7, "flag": True, "x": [1.5]}), ("array", [[0, 1, 2], [3, 4, 5]]),
        ("image", [[[0] * 3] * 4] * 4), ("raw", "AAE="), ("view", "AAE="),
        ("many", {"a": [1, 2], "b": [1, 2], "c": {"x": 1}, "d": None, "e": 2**63}),
    ],
)  # fmt: skip
async def test_values_of_the_python_client_are_plain_json(
    http: httpx.AsyncClient, name: str, expected: Any
) -> None:
    answer = await http.get(name)
    assert (answer.status_code, answer.json()) == (200, expected)


async def test_files_and_streams_of_arrays_are_no_fault(http: httpx.AsyncClient) -> None:
    file = await http.get("file")
    assert (file.status_code, file.json()["read"]["type"]) == (200, "function")
    assert (await http.get("arrays")).text == 'data: [0,1]\n\ndata: "AA=="\n\ndata: [DONE]\n\n'
    described = await http.get("arrays?_arrays=base64&_bytes=list")
    assert '"_rdtype":"int64"' in described.text
    assert "data: [0]\n\n" in described.text


async def test_the_form_of_an_answer_follows_accept_and_its_weights(http: httpx.AsyncClient) -> None:
    for accept, kind in (
        ("application/msgpack;q=0.5, application/json", "application/json"),
        ("text/html, application/msgpack;q=0.9, */*;q=0.1", "application/msgpack"),
        ("application/json;q=0.2, application/msgpack;q=0.3", "application/msgpack"),
    ):
        answer = await http.get("raw", headers={"accept": accept})
        assert answer.headers["content-type"] == kind, accept
    accept = "text/event-stream, application/msgpack;q=0.5"
    stream = await http.get("arrays", headers={"accept": accept})
    assert stream.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("name", ["crash", "crash_later"])
async def test_words_in_the_text_of_an_error_do_not_change_its_status(
    http: httpx.AsyncClient, name: str
) -> None:
    answer = await http.get(name)
    assert answer.status_code == 500
    assert answer.json()["detail"] == "RemoteException: Crash: the model was not found"


@pytest.mark.parametrize("name", ["group", "group_later"])
async def test_a_group_of_errors_is_told_with_what_is_in_it(http: httpx.AsyncClient, name: str) -> None:
    answer = await http.get(name)
    assert answer.status_code == 500
    detail = answer.json()["detail"]
    assert detail.startswith("RemoteException: ExceptionGroup: two things (2 sub-exceptions): KeyError: 'a'")
    assert "ValueError: b" in detail
    assert ".py" not in detail


JS_SERVICE = """
    const server = await connect({server_url: args.url, token: args.token, client_id: "js"});
    await server.registerService({id: "svc", config: {visibility: "public"},
        floats: () => new Float32Array([0.5, 1]),
        raw: () => new Uint8Array([0, 1]),
        buffer: () => new Uint8Array([0, 1]).buffer,
        set: () => new Set([1, 2]),
        map: () => new Map([["b", 1], ["a", 2]]),
        date: () => new Date("2024-05-06T07:08:09.123Z"),
        wrong: () => { throw new TypeError("x was not found"); },
        strange: () => { throw new Error("KeyError: not this"); },
    });
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("floats", [0.5, 1]), ("raw", "AAE="), ("buffer", "AAE="), ("set", [1, 2]), ("map", {"b": 1, "a": 2}),
        ("date", "2024-05-06T07:08:09.123000+00:00"),
    ],
)  # fmt: skip
async def test_values_of_the_javascript_client_are_plain_json(
    server: ServerProcess, node: NodeWorker, alice: Person, name: str, expected: Any
) -> None:
    await node.run(JS_SERVICE, url=server.url, token=alice.token)
    async with httpx.AsyncClient(base_url=f"{server.url}/{alice.workspace}/services/svc/") as http:
        answer = await http.get(name)
        assert (answer.status_code, answer.json()) == (200, expected)
        assert (await http.get("wrong")).status_code == 400
        assert (await http.get("strange")).status_code == 500


async def test_one_strange_description_does_not_spoil_a_list_of_services(
    server: ServerProcess, connect_raw: ConnectRaw, alice: Person
) -> None:
    raw: RawClient = await connect_raw(alice)
    config = {"bytes": b"\xff", "times": [b"x"], "array": {"_rtype": "memoryview", "_rvalue": b"x"}}
    await raw.offer("svc", visibility="public", notes=config)
    async with httpx.AsyncClient(base_url=server.url) as http:
        answer = await http.get(f"/{alice.workspace}/services/")
        assert answer.status_code == 200
        assert [service["name"] for service in answer.json()] == ["svc"]
