"""Promise: reading what comes from outside costs no more than in proportion to its size.

Each reader gets its worst shapes at n and at 4n. One that takes quadratic time needs sixteen times as long
for the larger, a linear one four times; the bound lies between. What refuses its input is a reader too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgpack
import orjson
import pytest

from hypha.addresses import ServiceQuery, check_client_id, check_service_name, check_workspace_id
from hypha.auth.hooks import checked as checked_user
from hypha.auth.minting import TokenRequest
from hypha.auth.scopes import Level
from hypha.auth.users import User
from hypha.builtins.schema import parse_docstring
from hypha.gateways.asgi_apps.cookies import AppCookies, pairs_of
from hypha.gateways.http.accept import wants_msgpack
from hypha.gateways.http.function_values import refuse_functions
from hypha.gateways.http.json_form import JsonForm, JsonWriter
from hypha.gateways.http.openapi import DescribedService, service_document
from hypha.gateways.http.parameters import body_arguments, convert, guess, query_arguments, split_query
from hypha.networks import parse_address
from hypha.registry.described import functions_of
from hypha.registry.query import parse_list_query
from hypha.registry.records import Registrant, parse_registration
from hypha.registry.search import SearchRequest, score
from hypha.web.cookies import cookies_of
from hypha.web.credentials import explicit_token
from hypha.web.destinations import is_workspace_word
from hypha.web.forwarded import Forwarded, parse_hop
from hypha.web.headers import by_name, checked, fields_of, is_ours
from hypha.web.heads import check_host, listed, without_offer
from hypha.web.origins import origin_of
from hypha.web.redaction import Redaction
from hypha.wire.bounded import unpack
from hypha.wire.frames import EnvelopeParser, decode_body
from hypha.wire.handshake import parse_control, parse_first_message
from hypha.wire.json_text import loads
from hypha.wire.tracebacks import remote_error
from hypha.wire.values import absolute_targets, maps_in
from hypha.workspaces.functions_events import parse_event_names
from hypha.workspaces.values import plain
from tests.kit.linear_time import check_growth, check_reader_of_texts, repeated
from tests.unit.gateways.http.fakes import FakeServer, services_of

N_ITEMS = 2_000
WHO = Registrant("w", "c", "u")


def octets(read: Callable[[bytes], Any]) -> Callable[[str], Any]:
    return lambda given: read(given.encode())


def connection(pairs: list[tuple[bytes, bytes]]) -> None:
    listed(pairs, b"connection")
    without_offer(pairs)


def method(**more: Any) -> Any:
    return EnvelopeParser().parse(msgpack.packb({"type": "method", "to": "a", **more}))


def all_of(items: Iterator[Any]) -> None:
    for _ in items:
        pass


COOKIES = AppCookies.of("author", "w", "s", b"/w/apps/s", b"/w/apps/s")
FORWARDED = (b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-prefix")
EITHER = {"anyOf": [{"type": "integer"}, {"type": "array"}]}
SCHEMA = {"parameters": {"type": "object", "properties": {"a": EITHER}}}
LIST_SCHEMA = {"type": "array", "items": {"type": "object"}}
READERS: dict[str, Callable[[str], Any]] = {
    "client id": check_client_id,
    "workspace id": check_workspace_id,
    "service name": check_service_name,
    "service address": lambda given: ServiceQuery.parse(given, "w"),
    "list query": lambda given: parse_list_query(given, "w"),
    "list query part": lambda given: parse_list_query({"type": given}, "w"),
    "search": lambda given: SearchRequest.parse(
        given, {"type": given}, return_fields=[given], order_by=given
    ),
    "service id": lambda given: parse_registration({"id": f"c:{given}"}, WHO),
    "docstring": parse_docstring,
    "level": Level.parse,
    "token request": lambda given: TokenRequest.parse({given: 1, "workspace": given, "permission": given}),
    "event names": lambda given: parse_event_names(given, "w"),
    "user of a hook": lambda given: checked_user(User(given, email=given)),
    "error text": remote_error,
    "error text and traceback": lambda given: remote_error(given, given),
    "traceback that ends with its message": lambda given: remote_error("x" + given, f"{given}x{given}"),
    "Accept": octets(lambda given: wants_msgpack({"hypha.headers": {b"accept": given}})),
    "query": octets(lambda given: query_arguments(split_query(given), SCHEMA)),
    "parameter": lambda given: convert(given, LIST_SCHEMA),
    "parameter of two types": lambda given: convert(given, EITHER),
    "parameter without a type": guess,
    "JSON body": octets(lambda given: body_arguments(given, "application/json", SCHEMA)),
    "JSON text": octets(lambda given: loads(b'["' + given + b'"]')),
    "JSON": octets(loads),
    "form": octets(lambda given: body_arguments(given, "application/x-www-form-urlencoded", SCHEMA)),
    "form of answers": lambda given: JsonForm.asked_for([("_arrays", given), ("_bytes", given)]),
    "address": parse_address,
    "Forwarded": octets(lambda given: Forwarded.read({b"forwarded": given}).host(0, "h", "http")),
    "X-Forwarded": octets(lambda given: Forwarded.read(dict.fromkeys(FORWARDED, given)).prefix(0)),
    "hop": parse_hop,
    "Cookie": octets(lambda given: cookies_of({b"cookie": given})),
    "Cookie for an application": octets(lambda given: COOKIES.received(pairs_of(given), [b"a"])),
    "Set-Cookie of an application": octets(lambda given: COOKIES.built_anew(b"a=b; Path=" + given)),
    "Set-Cookie with a long name": octets(COOKIES.built_anew),
    "Authorization": octets(lambda given: explicit_token({b"authorization": b"Basic " + given})),
    "Connection": octets(lambda given: connection([(b"connection", given)])),
    "Host": octets(lambda given: check_host("1.1", [(b"host", given)])),
    "fields": octets(lambda given: (checked([(b"a", given)]), checked([(given, b"a")]))),
    "challenge": octets(lambda given: is_ours(b"www-authenticate", given)),
    "fields of an answer": lambda given: fields_of({given: given}),
    "origin": origin_of,
    "word of a path": is_workspace_word,
    "redaction": octets(lambda given: Redaction("secret-token-abcdef", lambda word: False).holds(given)),
    "first message": parse_first_message,
    "first message's texts": lambda given: parse_first_message(
        orjson.dumps({"token": given, "client_id": given})
    ),
    "control message": parse_control,
    "plain value": lambda given: plain({given: given}, "value", 2**24),
    "msgpack": octets(lambda given: unpack(given, 100_000)),
    "envelope": octets(lambda given: EnvelopeParser().parse(given)),
    "envelope with a text": lambda given: method(to=given, method=given),
    "body of a frame": octets(lambda given: decode_body(given, 0)),
}

FUNCTION = {"_rtype": "method", "_rmethod": "a.b"}
Maker = Callable[[int], Any]
STRUCTURES: dict[str, Maker] = {
    "many texts": lambda n: [f"k{i}" for i in range(n)],
    "many keys": lambda n: {f"k{i}": i for i in range(n)},
    "many maps": lambda n: [{"a": {}} for _ in range(n)],
    "many functions": lambda n: [FUNCTION | {"_rtarget": f"w/{i}"} for i in range(n)],
    "many numbers": lambda n: list(range(n)),
    "one text": lambda n: "a" * n,
    "equal texts": lambda n: ["a"] * n,
}


def schema_of(value: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": value, "required": value}
    function = {"name": "f", "description": value, "parameters": parameters}
    return {"f": {"type": "function", "function": function}}


def described(value: Any) -> Any:
    info = {"id": "w/c:s", "name": "s", "service_schema": value}
    described = DescribedService.of("w", "c:s", info, partial(functions_of, info))
    return service_document(services_of(FakeServer()), described)


def searched(value: Any) -> float:
    info = {"id": "c:s", "description": str(value), "docs": str(value), "service_schema": {"f": value}}
    record = parse_registration(info, WHO)
    return score(record, [f"w{i}" for i in range(32)])


STRUCTURE_READERS: dict[str, Callable[[Any], Any]] = {
    "token request": TokenRequest.parse,
    "list query": lambda value: parse_list_query(value, "w"),
    "search filters": lambda value: SearchRequest.parse("", {"type": value}, return_fields=value),
    "registration": lambda value: parse_registration(
        {"id": "c:s", "config": {"authorized_workspaces": value, "x": value}, "service_schema": value}, WHO
    ),
    "search": searched,
    "description": lambda value: described(schema_of(value)),
    "event names": lambda value: parse_event_names(value, "w"),
    "plain value": lambda value: plain(value, "value", 2**24),
    "functions in arguments": refuse_functions,
    "functions in results": lambda value: absolute_targets(value, "w"),
    "maps": lambda value: all_of(maps_in(value)),
    "JSON writing": lambda value: orjson.dumps(value, default=JsonWriter(JsonForm()).default),
    "JSON body": lambda value: body_arguments(orjson.dumps(value), "application/json", SCHEMA),
    "JSON": lambda value: loads(orjson.dumps(value)),
    "msgpack body": lambda value: body_arguments(msgpack.packb(value), "application/msgpack", SCHEMA),
    "msgpack": lambda value: unpack(msgpack.packb(value), 1_000_000),
    "envelope": lambda value: method(x=value),
    "fields of an answer": fields_of,
    "fields": lambda value: by_name([(b"a", str(item).encode()) for item in value]),
}


@pytest.mark.parametrize("name", READERS)
def test_texts_are_read_in_linear_time(name: str) -> None:
    check_reader_of_texts(READERS[name])


@pytest.mark.parametrize("name", STRUCTURE_READERS)
def test_values_are_read_in_linear_time(name: str) -> None:
    for shape, make in STRUCTURES.items():
        check_growth(STRUCTURE_READERS[name], make, N_ITEMS, shape)


def test_many_functions_are_described_in_linear_time() -> None:
    one = schema_of("x")["f"]
    check_growth(described, lambda n: {f"f{i}": one for i in range(n)}, 125, "functions")


def test_a_reader_that_takes_quadratic_time_is_seen() -> None:
    def quadratic(given: str) -> None:
        for _ in given:
            list(given), list(given)

    with pytest.raises(pytest.fail.Exception, match="s for 16n"):
        check_growth(quadratic, partial(repeated, "a"), 2048, "a")
