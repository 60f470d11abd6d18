"""The descriptions of services, driven by a generic client that knows nothing else of the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from hypha.testing import ServerProcess
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person

pytestmark = pytest.mark.timeout(120)

EXAMPLES = 8
MANAGER = "Workspace manager"
CLOSING = ("delete_workspace", "cleanup", "revoke_token")
TYPED = {
    "name": "typed",
    "description": "Return the arguments.\n\nEvery kind of them.",
    "parameters": {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": -1000, "title": "Number"},
            "text": {"type": "string", "title": "Text"},
            "tags": {"type": "array", "items": {"type": "string"}, "default": None},
            "flag": {"type": "boolean", "default": False},
            "x": {"type": "number", "default": 0.5},
            "options": {"$ref": "#/$defs/Options"},
            "kind": {"enum": ["a", "b"], "default": "a"},
        },
        "required": ["n", "text"],
        "$defs": {"Options": {"type": "object", "additionalProperties": {"type": "integer"}}},
    },
}

Call = tuple[str, str, Any, int, Any]


def typed(
    n: int,
    text: str,
    tags: Any = None,
    flag: bool = False,
    x: float = 0.5,
    options: Any = None,
    kind: str = "a",
) -> list[Any]:
    return [n, text, tags, flag, x, options, kind]


typed.__schema__ = TYPED  # type: ignore[attr-defined]


def plain(a: int, b: str = "x") -> dict[str, Any]:
    """Return the arguments."""
    return {"a": a, "b": b}


async def count(n: int) -> AsyncIterator[int]:
    """Count to n."""
    for number in range(min(n, 5)):
        yield number


class Lab:
    """A provider with functions, and HTTP on behalf of its owner."""

    def __init__(self, owner: Person, provider: Any, server: ServerProcess) -> None:
        self.owner, self.provider, self.server = owner, provider, server
        self.headers = {"Authorization": f"Bearer {owner.token}"}

    async def document(self, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self.server.url, headers=headers or self.headers) as http:
            answer = await http.get(path)
            assert answer.status_code == 200, answer.text
            return dict(answer.json())


def in_circles(x: Any = None) -> Any:
    return x


in_circles.__schema__ = {  # type: ignore[attr-defined]
    "name": "in_circles",
    "parameters": {
        "type": "object",
        "properties": {
            "x": {"$ref": "#/$defs/A"},
            "y": {"type": "string", "pattern": "(a+)+$", "default": "a" * 50 + "!"},
            "z": {"enum": list(range(20_000)), "examples": list(range(20_000))},
        },
        "required": ["x"],
        "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"anyOf": [{"$ref": "#/$defs/A"}]}},
    },
}


async def test_a_schema_that_leads_in_circles_harms_no_description(connect: Connect, alice: Person) -> None:
    provider = await connect(alice)
    await provider.register_service({"id": "odd", "in_circles": in_circles, "plain": plain})
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=provider.config.public_base_url, headers=headers) as http:
        for path in (f"/{alice.workspace}/openapi.json", f"/{alice.workspace}/services/odd/openapi.json"):
            answer = await http.get(path)
            assert answer.status_code == 200, answer.text
            assert any(name.endswith("/odd/in_circles") for name in answer.json()["paths"])
            OpenAPIV31SpecValidator(answer.json()).validate()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(module_connect: Connect, server: ServerProcess) -> Lab:
    owner = make_person(server, "author")
    provider = await module_connect(owner, client_id="provider")
    functions = {"typed": typed, "plain": plain, "count": count, "group": {"typed": typed}}
    for name, visibility in (("mine", "protected"), ("open", "public")):
        await provider.register_service({"id": name, "config": {"visibility": visibility}, **functions})
    return Lab(owner, provider, server)


def drive(document: dict[str, Any], mode: GenerationMode, lab: Lab, skip: tuple[str, ...] = ()) -> list[Call]:
    """Let schemathesis call every operation of a document, and check the answers to valid calls."""
    # the manager refuses more than a schema can say: rights, names that are taken
    excluded = [positive_data_acceptance] if document["info"]["title"] == MANAGER else []
    done: list[Call] = []
    url = document["servers"][0]["url"]
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()
        if operation.path.endswith(skip):
            continue
        strategy: SearchStrategy[Any] = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=strategy)
        def one(case: Any) -> None:
            answer = case.call(base_url=url, headers=lab.headers, timeout=30)
            if mode is GenerationMode.POSITIVE:
                case.validate_response(answer, excluded_checks=excluded)
            sent = case.query if case.method == "GET" else case.body
            got = answer.json() if answer.headers["content-type"][0] == "application/json" else answer.content
            done.append((case.method, case.operation.path, sent, answer.status_code, got))

        try:
            one()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, operation.label  # without parameters nothing is wrong
    return done


async def driven(lab: Lab, path: str, mode: GenerationMode, skip: tuple[str, ...] = ()) -> list[Call]:
    document = await lab.document(path)
    calls = await asyncio.to_thread(drive, document, mode, lab, skip)
    assert calls
    return calls


@pytest.mark.parametrize(
    "path",
    [
        "/openapi.json",
        "/{ws}/openapi.json",
        "/{ws}/services/mine/openapi.json",
        "/{ws}/services/provider:mine/openapi.json",
        "/{ws}/services/provider:built-in/openapi.json",
        "/{ws}/services/ws/openapi.json",
        "/public/openapi.json",
    ],
)
async def test_a_validator_accepts_every_document(lab: Lab, path: str) -> None:
    document = await lab.document(path.replace("{ws}", lab.owner.workspace))
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert document["servers"] == [{"url": lab.server.url}]
    assert document["paths"]


async def test_a_document_shows_what_its_reader_may_see(lab: Lab, bob: Person) -> None:
    path = f"/{lab.owner.workspace}/openapi.json"
    mine = await lab.document(path)
    theirs = await lab.document(path, {"Authorization": f"Bearer {bob.token}"})
    assert f"/{lab.owner.workspace}/services/mine/group.typed" in mine["paths"]
    assert f"/{lab.owner.workspace}/services/open/typed" in theirs["paths"]
    assert "/services/mine/" not in json.dumps(theirs)
    async with httpx.AsyncClient(base_url=lab.server.url) as http:
        closed = f"/{lab.owner.workspace}/services/mine/openapi.json"
        for headers in ({}, {"Authorization": f"Bearer {bob.token}"}):
            answer = await http.get(closed, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
        missing = await http.get(f"/{lab.owner.workspace}/services/nope/openapi.json")
        assert missing.status_code == 404
        assert (await http.get("/ws-nobody-there/openapi.json")).status_code == 404
        refused = await http.get(path, headers={"Authorization": "Bearer x"})
        assert refused.status_code == 401


def as_arguments(sent: Any) -> tuple[list[Any], dict[str, Any]]:
    """A JSON body as the arguments of a call."""
    if isinstance(sent, dict):
        return [], sent
    return (sent, {}) if isinstance(sent, list) else ([], {})


def as_values(query: Mapping[str, Any]) -> dict[str, Any]:
    """What a query of `typed` or `plain` says, read by its description alone."""
    read: dict[str, Callable[[Any], Any]] = {
        "tags": json.loads,
        "options": json.loads,
        "flag": lambda text: text == "true",
        "text": str,
        "kind": str,
        "b": str,
    }
    return {
        name: read.get(name, lambda value: value)(value) for name, value in query.items() if name != "_mode"
    }


async def test_valid_calls_have_the_results_of_rpc(lab: Lab) -> None:
    service = await lab.provider.get_service("mine")
    functions = {"typed": service.typed, "group.typed": service.group.typed}
    path = f"/{lab.owner.workspace}/services/mine/openapi.json"
    calls = await driven(lab, path, GenerationMode.POSITIVE)
    assert [call for call in calls if call[3] != 200] == []
    compared = 0
    for method, route, sent, _, got in calls:
        name = route.rpartition("/")[2]
        if name in functions:
            args, kwargs = ([], as_values(sent)) if method == "GET" else as_arguments(sent)
            assert got == await functions[name](*args, **kwargs), (method, sent)
            compared += 1
        elif name == "count":
            assert got.endswith(b"data: [DONE]\n\n")
    assert compared > 2 * EXAMPLES


async def test_the_description_of_the_queues_accepts_what_the_queues_accept(lab: Lab) -> None:
    path = "/public/services/queue/openapi.json"
    calls = await driven(lab, path, GenerationMode.POSITIVE, ("pop", "ack", "extend"))
    assert {status for *_, status, _ in calls} == {200}


async def test_invalid_calls_never_break_the_server(lab: Lab) -> None:
    path = f"/{lab.owner.workspace}/services/mine/openapi.json"
    calls = await driven(lab, path, GenerationMode.NEGATIVE)
    assert {status for *_, status, _ in calls if status >= 500} == set()
    missing = [call for call in calls if call[0] == "POST" and call[2] == {} and call[1].endswith("typed")]
    assert all(status == 400 for *_, status, _ in missing)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_the_manager_refuses_nonsense_without_fault(lab: Lab, mode: GenerationMode) -> None:
    path = f"/{lab.owner.workspace}/services/ws/openapi.json"
    calls = await driven(lab, path, mode, CLOSING)
    assert [call for call in calls if call[3] >= 500] == []
    for *_, status, got in calls:
        if status >= 400:
            assert got["success"] is False and got["detail"] and got["code"] and got["request_id"]
