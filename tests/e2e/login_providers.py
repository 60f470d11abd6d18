"""Startup functions of the tests on custom providers: an operator's own way of signing people in."""

from __future__ import annotations

from typing import Any

from hypha.core import UserInfo, UserPermission
from hypha.core.auth import (
    _generate_presigned_token,
    _parse_token,
    create_scope,
    generate_anonymous_user,
    generate_auth_token,
    parse_auth_token,
    valid_token,
)
from hypha.utils import random_id

PEOPLE = {"gold-ann": "ann", "gold-root": "root", "gold-wild": "wild", "gold-boss": "boss"}


def person(name: str, *, rights: dict[str, Any] | None = None, **fields: Any) -> UserInfo:
    rights = {f"ws-user-{name}": UserPermission.admin} if rights is None else rights
    scope = create_scope(rights, current_workspace=fields.pop("current", None))
    return UserInfo(id=name, email=f"{name}@example.org", scope=scope, **fields)


def parse_token(token: str) -> Any:
    if token == "gold-refused":
        raise ValueError("this coin is false")
    if token == "gold-bug":
        return {}["no such key"]
    if token == "gold-dict":
        return {"id": "dict-user", "scope": {"workspaces": {"ws-user-dict-user": "a"}}}
    if token.startswith("made:"):
        _, name, workspace, _ = token.split(":")
        return person(name, rights={workspace: UserPermission.read_write}, current=workspace)
    if token == "gold-wild":
        return person("wild", rights={"*": UserPermission.admin})
    if token == "gold-boss":
        return person("boss", roles=["admin"])
    name = PEOPLE.get(token)
    return person(name) if name else _parse_token(token)


async def generate_token(user_info: UserInfo, expires_in: float) -> str:
    assert user_info.scope is not None
    assert type(expires_in) is int, "whole numbers come as such"
    assert user_info.expires_at is None or type(user_info.expires_at) is int
    return f"made:{user_info.id}:{user_info.scope.current_workspace}:{random_id()}"


async def get_token(scope: dict[str, Any]) -> str | None:
    assert not [name for name in scope if name.startswith("hypha.")]
    for name, value in scope["headers"]:
        if name == b"x-broken":
            return str({}[value])
        if name == b"x-gold":
            return str(value.decode())
    return None


async def index(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": 200,
        "headers": {"Content-Type": "text/html", "X-Own": "yes"},
        "body": f"<h1>Hello {event['user']['id']} {event['query_string']}</h1>",
    }


async def whoami(event: dict[str, Any]) -> dict[str, Any]:
    expires_at = event["user"]["expires_at"]
    is_whole = expires_at is None or type(expires_at) is int or event["user"]["is_anonymous"]
    return {"id": event["user"]["id"], "said": event.get("said"), **({} if is_whole else {"bad": expires_at})}


def start(workspace: str | None = None, expires_in: float | None = None) -> dict[str, Any]:
    return {"login_url": "https://example.org/own", "key": "own-key", "report_url": "https://example.org/r"}


async def check(key: str, timeout: float = 180, profile: bool = False) -> str:
    if key != "own-key":
        raise ValueError("Invalid key, not one of ours")
    return "gold-ann"


async def with_hooks(server: Any) -> None:
    """The older form: three hooks, set one by one."""
    server["set_parse_token_function"](parse_token)
    await server.set_generate_token_function(generate_token)
    await server.set_get_token_function(get_token)


async def with_service(server: Any) -> None:
    """The newer form: everything at once."""
    made = await generate_auth_token(person("early"), 60)
    assert (await parse_auth_token(made)).id == "early"
    assert valid_token(f"Bearer {made}")["sub"] == "early"
    assert _parse_token(_generate_presigned_token(person("early"), 60)).email == "early@example.org"
    assert generate_anonymous_user().is_anonymous
    await server.register_auth_service(
        parse_token=parse_token,
        get_token=lambda scope: None,
        index_handler=index,
        start_handler=start,
        check_handler=check,
        whoami=whoami,
    )


async def with_nonsense(server: Any) -> None:
    await server.register_auth_service(parse_token="not a function")
