"""What a client may say about its service, and what others get to read of it."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.auth.users import Context
from hypha.errors import FrameTooLarge, HyphaError, InvalidAddress, InvalidRequest, PermissionDenied
from hypha.registry.records import Registrant, is_local_only, parse_registration

ME = Registrant("w", "me", "alice")


def info(**changes: Any) -> dict[str, Any]:
    return {"id": "w/me:svc", "name": "Service", "config": {}, **changes}


def refusal(given: Any) -> HyphaError:
    with pytest.raises(HyphaError) as caught:
        parse_registration(given, ME)
    return caught.value


def test_defaults_are_those_of_the_clients() -> None:
    record = parse_registration(info(config={"run_in_executor": True}), ME)
    assert record.visibility == "protected"
    assert record.to_info() == {
        "id": "w/me:svc",
        "name": "Service",
        "type": "generic",
        "description": None,
        "docs": None,
        "app_id": "*",
        "service_schema": {},
        "config": {
            "visibility": "protected",
            "require_context": False,
            "workspace": "w",
            "flags": [],
            "singleton": False,
            "service_embedding": None,
            "authorized_workspaces": None,
            "created_by": {"id": "alice"},
            "run_in_executor": True,
        },
    }


def test_creator_and_workspace_come_from_the_connection() -> None:
    record = parse_registration(info(config={"workspace": "x", "created_by": {"id": "root"}}), ME)
    assert record.config["workspace"] == "w"
    assert record.config["created_by"] == {"id": "alice"}


@pytest.mark.parametrize("service_id", ["w/me:svc", "me:svc", "w/me:svc@app-1"])
def test_short_ids_are_completed(service_id: str) -> None:
    assert parse_registration(info(id=service_id), ME).id == "w/me:svc"


def test_a_name_with_an_at_sign_as_the_libraries_send_it_is_refused() -> None:
    """They would look for it under the whole name, and nobody could call it."""
    assert "'@'" in str(refusal(info(id="w/me:svc@home", app_id="*")))
    assert parse_registration(info(id="w/me:svc@*", app_id="*"), ME).app_id == "*"


def test_app_id_comes_from_the_info_or_the_id() -> None:
    assert parse_registration(info(app_id="app-1"), ME).app_id == "app-1"
    assert parse_registration(info(id="w/me:svc@app-2"), ME).app_id == "app-2"


@pytest.mark.parametrize("service_id", ["svc", "", None, 7, ["w/me:svc"]])
def test_id_without_colon_is_refused(service_id: Any) -> None:
    error = refusal(info(id=service_id))
    assert error.rpc_text == "AssertionError: Service id info must contain ':'"


@pytest.mark.spec("core-R11", "wire-52", "core-11.1.8")
def test_other_workspace_is_refused() -> None:
    error = refusal(info(id="x/me:svc"))
    assert isinstance(error, PermissionDenied)
    assert str(error).startswith("Service ID workspace prefix 'x' does not match the current workspace 'w'")
    assert "permission" in str(error).lower()


@pytest.mark.spec("core-R11", "wire-52", "core-11.1.8")
def test_other_client_is_refused() -> None:
    error = refusal(info(id="w/you:svc"))
    assert isinstance(error, PermissionDenied)
    assert "Permission denied" in str(error)


@pytest.mark.parametrize("name", ["", "a/b", "a*", "a b", "a\x00b", "a" * 10_000, "a:b"])
def test_odd_service_names_are_refused(name: str) -> None:
    assert isinstance(refusal(info(id=f"w/me:{name}")), InvalidRequest)


def test_app_id_with_slash_is_refused() -> None:
    assert refusal(info(app_id="a/b")).rpc_text == "AssertionError: App id info must not contain '/'"


@pytest.mark.parametrize("app_id", ["a:b", "a@b", "a" * 257, 5])
def test_odd_app_ids_are_refused(app_id: Any) -> None:
    assert isinstance(refusal(info(app_id=app_id)), InvalidAddress)


@pytest.mark.spec("core-R15")
def test_long_description_is_refused() -> None:
    parse_registration(info(description="d" * 1024), ME)
    assert "1024" in str(refusal(info(description="d" * 1025)))


def test_private_is_taken_as_protected() -> None:
    assert parse_registration(info(config={"visibility": "private"}), ME).visibility == "protected"


@pytest.mark.parametrize("visibility", ["secret", 5, ["public"], {}])
def test_unknown_visibility_is_refused(visibility: Any) -> None:
    if not visibility:
        return
    assert isinstance(refusal(info(config={"visibility": visibility})), InvalidRequest)


def test_authorized_workspaces_need_protected() -> None:
    error = refusal(info(config={"visibility": "public", "authorized_workspaces": ["x"]}))
    assert error.rpc_text == (
        "ValueError: authorized_workspaces can only be set when visibility is 'protected', "
        "got visibility='public'"
    )


@pytest.mark.parametrize("value", ["x", [1], {"x": 1}, ["x"] * 1001])
def test_authorized_workspaces_are_a_list_of_names(value: Any) -> None:
    error = refusal(info(config={"authorized_workspaces": value}))
    assert isinstance(error, InvalidRequest)


@pytest.mark.parametrize(
    "given",
    [None, "w/me:svc", [], info(config=[]), info(service_schema="x"), info(name=5), info(type=["x"]),
     info(docs=object()), info(name="n" * 2000), info(config={"deep": {1: object()}})],
)  # fmt: skip
def test_wrong_types_are_refused(given: Any) -> None:
    assert isinstance(refusal(given), InvalidRequest)


def test_nested_bomb_is_refused() -> None:
    bomb: dict[str, Any] = {}
    for _ in range(3000):
        bomb = {"a": bomb}
    assert isinstance(refusal(info(docs=bomb)), InvalidRequest)


def test_huge_info_is_refused() -> None:
    assert isinstance(refusal(info(docs="d" * 400_000)), FrameTooLarge)


def test_callback_interfaces_stay_local() -> None:
    assert is_local_only({"id": "w/me:_rintf_17"})
    assert is_local_only({"id": "w/me:x", "config": {"_local_only": True}})
    assert not is_local_only(info())


@pytest.mark.spec("core-11.1.9", "core-R14")
def test_strangers_read_neither_creator_nor_authorized_workspaces(member: Context, stranger: Context) -> None:
    record = parse_registration(info(config={"authorized_workspaces": ["elsewhere"]}), ME)
    seen = record.to_info(stranger)["config"]
    assert "created_by" not in seen
    assert "authorized_workspaces" not in seen
    assert record.to_info(member)["config"]["authorized_workspaces"] == ["elsewhere"]


@pytest.mark.spec("core-R3", "wire-35")
@pytest.mark.parametrize(
    ("config", "usable", "listed"),
    [
        ({"visibility": "public"}, True, True),
        ({"visibility": "unlisted"}, True, False),
        ({"visibility": "protected"}, False, False),
        ({"authorized_workspaces": ["elsewhere"]}, True, True),
        ({"authorized_workspaces": ["another"]}, False, False),
    ],
)
def test_what_a_stranger_may(config: dict[str, Any], usable: bool, listed: bool, stranger: Context) -> None:
    record = parse_registration(info(config=config), ME)
    assert record.is_usable_by(stranger) is usable
    assert record.is_listed_for(stranger) is listed
    assert record.is_listed_for(stranger, include_unlisted=True) is listed


@pytest.mark.spec("core-R3")
@pytest.mark.parametrize("visibility", ["public", "protected", "unlisted"])
def test_what_a_member_may(visibility: str, member: Context) -> None:
    record = parse_registration(info(config={"visibility": visibility}), ME)
    assert record.is_usable_by(member)
    assert record.is_listed_for(member) is (visibility != "unlisted")
    assert record.is_listed_for(member, include_unlisted=True)


@pytest.mark.spec("core-11.1.9")
def test_built_in_entries_are_listed_for_members_only(member: Context, stranger: Context) -> None:
    record = parse_registration(info(id="w/me:built-in", config={"visibility": "public"}), ME)
    assert record.is_listed_for(member)
    assert not record.is_listed_for(stranger)
    assert record.is_usable_by(stranger)


@pytest.mark.parametrize("name", ["ws", "~", ".", ".."])
def test_a_name_by_which_nobody_could_reach_the_service_over_http_is_refused(name: str) -> None:
    error = refusal(info(id=f"w/me:{name}"))
    assert isinstance(error, InvalidAddress) and "choose another one" in error.message
    assert parse_registration(info(id=f"w/me:{name}x"), ME).name == f"{name}x"
