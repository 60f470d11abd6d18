"""What `generate_token` may give (docs/spec/manager.md#minting)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypha.auth.minting import TokenRequest, child_of, program_of
from hypha.auth.scopes import Level, Scope
from hypha.auth.tokens import TokenAuthority
from hypha.auth.users import Context, User, anonymous_user, root_user
from hypha.errors import InvalidAddress, InvalidRequest, PermissionDenied
from hypha.store.records import WorkspaceRecord
from hypha.workspaces.records import level_for
from tests.kit.minting import OWNER, mint

SECRET = "a-secret-of-the-tests-which-is-long-enough"


def child(level: Level, **fields: Any) -> User:
    """A child of the owner with a level in `lab`."""
    return User("kid", parent="owner", scope=Scope({"lab": level}, "lab"), **fields)


def refused(*arguments: Any, **options: Any) -> str:
    """The sentence with which minting is refused."""
    with pytest.raises(PermissionDenied) as caught:
        mint(*arguments, **options)
    return str(caught.value)


def test_a_child_is_a_new_user_with_one_workspace() -> None:
    made = mint(OWNER, {"permission": "read", "client_id": "c", "extra_scopes": ["openid"]})
    assert made.id != "owner"
    assert made.parent == "owner"
    assert (made.roles, made.email, made.is_anonymous) == (("editor",), "o@x.org", False)
    assert made.scope.to_claim() == "ws:lab#r cid:c wid:lab openid"


def test_what_a_token_for_one_client_id_makes_is_for_that_id_too() -> None:
    maker = replace(OWNER, scope=replace(OWNER.scope, client_id="robot"))
    assert mint(maker, {}).scope.client_id == "robot"
    assert mint(maker, {"client_id": "robot"}).scope.client_id == "robot"
    assert "for the client id 'robot'" in refused(maker, {"client_id": "other"})
    connected = OWNER.within("lab", "robot", Level.ADMIN)  # of a token for any id, which made it no stricter
    assert mint(connected, {}).scope.client_id is None


def test_the_default_is_read_write_for_an_hour_in_the_current_workspace() -> None:
    request = TokenRequest.parse(None)
    assert (request.level, request.expires_in_s, request.workspace) == (Level.READ_WRITE, 3600, None)
    assert TokenRequest.parse({"expires_in": None, "permission": None, "theme": "dark"}) == request


def test_a_slip_of_the_pen_is_told_and_nothing_else_is_compared() -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'permission'"):
        TokenRequest.parse({"permision": "read"})
    assert TokenRequest.parse({"permission" * 100: 1, 5: 1, "x" * 50_000: 1}) == TokenRequest()


def test_a_config_of_many_keys_is_refused_before_any_is_looked_at() -> None:
    with pytest.raises(InvalidRequest, match="100 keys at most"):
        TokenRequest.parse({f"permission{number}": 1 for number in range(101)})


def test_parent_keeps_the_first_ancestor() -> None:
    assert mint(mint(OWNER, {"permission": "admin"}), {"permission": "read"}).parent == "owner"


@pytest.mark.spec("core-M7")
def test_an_unknown_permission_and_a_foreign_workspace_are_refused() -> None:
    for wrong in ("root", "a", "", 3, ["admin"]):
        with pytest.raises(InvalidRequest, match="invalid permission"):
            TokenRequest.parse({"permission": wrong})
    assert refused(OWNER, {"workspace": "other"}) == "You do not have any permission for workspace: other"


@pytest.mark.parametrize("level", [Level.READ, Level.READ_WRITE])
def test_only_admins_mint(level: Level) -> None:
    user = User("guest", scope=Scope({"lab": level}, "lab"))
    for permission in ("read", "read_write", "admin"):
        assert refused(user, {"permission": permission}).startswith("Only admin can generate token.")


@pytest.mark.spec("core-A10", "core-11.1.3")
def test_a_read_write_child_of_the_owner_mints_up_to_its_own_level_here_only() -> None:
    kid = child(Level.READ_WRITE)
    made = mint(kid, {"permission": "read_write"}, parent_level=Level.ADMIN)
    assert made.scope.workspaces == {"lab": Level.READ_WRITE}
    assert made.parent == "owner"
    assert mint(kid, {"permission": "read"}, parent_level=Level.ADMIN).level("lab") is Level.READ
    assert refused(kid, {"permission": "admin"}, parent_level=Level.ADMIN).startswith("Only admin can")
    other = {"workspace": "ws-user-owner", "permission": "read"}
    assert "any permission" in refused(kid, other, parent_level=Level.ADMIN)
    outside = {"workspace": "lab", "permission": "read"}
    assert refused(kid, outside, "elsewhere", Level.ADMIN).startswith("Only admin can")
    assert refused(kid, {}, parent_level=Level.READ_WRITE).startswith("Only admin can")


@pytest.mark.spec("core-11.1.3")
def test_a_read_child_of_the_owner_mints_nothing() -> None:
    assert refused(child(Level.READ), {"permission": "read"}, parent_level=Level.ADMIN).startswith(
        "Only admin"
    )


@pytest.mark.spec("core-A11", "core-11.1.4")
def test_the_role_admin_is_not_inherited() -> None:
    boss = User("boss", ("admin", "editor"), scope=Scope({}, "lab"))
    made = mint(boss, {"permission": "read"})
    assert made.roles == ("editor",)
    assert made.level("lab") is Level.READ
    assert made.level("elsewhere") is Level.NONE


def test_a_child_of_an_anonymous_user_is_anonymous() -> None:
    user = anonymous_user()
    made = mint(user, {"permission": "admin"}, user.own_workspace)
    assert made.is_anonymous
    assert made.roles == ("anonymous",)


def test_only_root_mints_for_every_workspace() -> None:
    made = mint(root_user(), {"workspace": "*", "permission": "read"})
    assert made.scope.to_claim() == "ws:*#r"
    assert not made.is_admin
    boss = User("boss", ("admin",))
    writer = User("wide", scope=Scope({"*": Level.READ_WRITE}))
    for user in (boss, writer, OWNER):
        assert refused(user, {"workspace": "*"}) == "You do not have any permission for workspace: *"


@pytest.mark.spec("core-4.2")
def test_a_token_for_every_workspace_is_roots_also_without_the_role() -> None:
    """Made by the operator's own tools with the deployment's secret."""
    tokens = TokenAuthority(SECRET)
    wide = tokens.parse(tokens.mint(User("tool", scope=Scope({"*": Level.ADMIN})), 60))
    assert wide.is_root and wide.is_admin and wide.limit is None
    assert mint(wide, {"workspace": "*", "permission": "admin"}).is_root
    for narrower in (Scope({"*": Level.READ_WRITE}), Scope({"lab": Level.ADMIN})):
        other = tokens.parse(tokens.mint(User("tool", scope=narrower), 60))
        assert not other.is_root and not other.is_admin


def test_only_admins_by_role_set_the_email() -> None:
    text = "Only callers with the 'admin' role may set TokenConfig.email"
    assert refused(OWNER, {"email": "boss@x.org"}) == text
    assert mint(root_user(), {"email": "e@x.org"}).email == "e@x.org"


@pytest.mark.spec("wire-16.11")
def test_a_specialized_token_mints_nothing() -> None:
    user = User("u", scope=Scope({"lab": Level.ADMIN}, "lab", None, ("file:download",)))
    assert "specialized" in refused(user, {})
    assert mint(OWNER, {"extra_scopes": ["file:download"]}).scope.is_specialized


@pytest.mark.parametrize(
    "config",
    [
        {"extra_scopes": ["ws:*#a"]},
        {"extra_scopes": ["x ws:*#a"]},
        {"extra_scopes": ["cid:x"]},
        {"extra_scopes": ["wid:other"]},
        {"extra_scopes": "ws:*#a"},
        {"extra_scopes": [""]},
        {"extra_scopes": [7]},
        {"extra_scopes": ["x"] * 101},
        {"client_id": "x ws:*#a"},
        {"client_id": "a/b"},
        {"client_id": 7},
        {"workspace": "lab#a ws:other"},
        {"workspace": 7},
        {"email": ""},
        {"permision": "read"},
        {"expire_in": 60},
        ["read"],
        "read",
    ],
)
def test_odd_configs_are_refused(config: Any) -> None:
    with pytest.raises((InvalidRequest, InvalidAddress)):
        TokenRequest.parse(config)


WORKSPACES = ["lab", "other", "ws-user-owner", "*"]
configs = st.fixed_dictionaries(
    {
        "permission": st.sampled_from(["read", "read_write", "admin"]),
        "workspace": st.sampled_from([None, *WORKSPACES]),
        "extra_scopes": st.lists(st.sampled_from(["openid", "x", "ws:*#a", "admin"]), max_size=2),
        "client_id": st.sampled_from([None, "c1", "c wid:other"]),
        "email": st.sampled_from([None, "boss@x.org"]),
    }
)
starts = st.builds(
    lambda rights, roles, parent: User(
        "start", tuple(roles), "anonymous" in roles, "s@x.org", parent, None, Scope(rights, "lab")
    ),
    st.dictionaries(st.sampled_from(WORKSPACES), st.sampled_from([level for level in Level if level])),
    st.lists(st.sampled_from(["admin", "anonymous", "editor"]), unique=True),
    st.sampled_from([None, "owner"]),
)


@pytest.mark.spec("core-11.1.3", "core-11.1.4")
@settings(max_examples=300, deadline=None)
@given(
    start=starts, chain=st.lists(st.tuples(st.sampled_from(WORKSPACES[:3]), configs), min_size=1, max_size=5)
)
def test_no_chain_of_tokens_gains_a_right(start: User, chain: list[tuple[str, dict[str, Any]]]) -> None:
    tokens = TokenAuthority(SECRET)
    holder = start
    for workspace, config in chain:
        try:
            # the owner has every right in all three places: nothing of it may leak to descendants
            made = mint(holder, config, workspace, Level.ADMIN)
        except (PermissionDenied, InvalidRequest, InvalidAddress):
            continue
        made = tokens.parse(tokens.mint(made, 60))
        for place in [*WORKSPACES, "unheard-of"]:
            assert made.level(place) <= holder.level(place)
        assert not made.is_admin or (holder.is_root and made.scope.workspaces == {"*": Level.ADMIN})
        assert made.is_anonymous or not holder.is_anonymous
        assert made.parent == (holder.parent or holder.id)
        assert holder.is_admin or made.email == holder.email
        holder = made


PLACES = ["lab", "other", "ws-user-owner", "unheard-of"]
people = st.lists(st.sampled_from(["owner", "start", "s@x.org", "S@X.org", "somebody"]), max_size=3)
ownerships = st.fixed_dictionaries({place: people for place in PLACES})
moves = st.one_of(
    st.tuples(st.just("mint"), st.sampled_from(PLACES), configs),
    st.tuples(st.just("log in"), st.sampled_from(PLACES), st.none()),
    st.tuples(st.just("connect"), st.sampled_from(PLACES), st.none()),
    st.tuples(st.just("come back"), st.sampled_from(PLACES), st.none()),
)
any_start = st.builds(
    lambda user, current: replace(user, scope=replace(user.scope, current_workspace=current)),
    starts,
    st.sampled_from([None, None, "lab", "other"]),
)


def moved(
    holder: User, move: str, record: WorkspaceRecord, config: Any, places: list[WorkspaceRecord]
) -> User | None:
    """What a holder of a token gets by one step, as the server makes it; None: refused."""
    tokens = TokenAuthority(SECRET)
    level = level_for(holder, record)
    inside = holder.within(record.id, "c", level)
    try:
        if move == "mint":
            request = TokenRequest.parse({**config, "extra_scopes": ["openid"], "client_id": None})
            target = request.workspace or record.id
            known = next((place for place in places if place.id == target), WorkspaceRecord(target))
            is_owned = holder.parent is not None and holder.parent in known.owners
            parent_level = Level.ADMIN if is_owned else Level.NONE
            context = Context(inside, record.id)
            made = child_of(context, request, level_for(inside, known), parent_level)
            return tokens.parse(tokens.mint(made, 60))
        if level < Level.READ:
            return None
        if move == "log in":
            made = child_of(Context(holder, record.id), TokenRequest(record.id, level), Level.ADMIN)
            return tokens.parse(tokens.mint(made, 60))
    except PermissionDenied:
        return None
    if move == "connect":
        return inside
    made = tokens.parse(tokens.mint_reconnection(inside, record.id, "c"))
    assert made.scope.client_id == "c" and made.scope.current_workspace == record.id
    return made


@pytest.mark.spec("core-11.1.3", "core-11.1.4", "wire-16.8")
@settings(max_examples=150, deadline=None)
@given(start=any_start, owners=ownerships, later=ownerships, chain=st.lists(moves, min_size=1, max_size=7))
def test_no_chain_of_logins_tokens_and_connections_reaches_what_the_first_token_could_not(
    start: User, owners: dict[str, list[str]], later: dict[str, list[str]], chain: list[tuple[str, str, Any]]
) -> None:
    """Rights are counted as the server counts them: by role, token and ownership, also of later owners."""
    places = [WorkspaceRecord(name, owners=tuple(owners[name])) for name in PLACES]
    changed = [WorkspaceRecord(name, owners=tuple(later[name])) for name in PLACES]
    holder = start
    for move, workspace, config in chain:
        record = next(place for place in places if place.id == workspace)
        made = moved(holder, move, record, config, places)
        if made is None:
            continue
        assert not made.is_admin or holder.is_admin
        if move in ("mint", "log in"):
            assert made.id != holder.id and (not made.is_admin or holder.is_root)
        for before, after in zip(places, changed, strict=True):
            assert level_for(made, before) <= level_for(holder, before), (move, before.id)
            assert level_for(made, after) <= max(level_for(start, after), level_for(holder, after)), after.id
        assert made.is_anonymous or not holder.is_anonymous
        holder = made


@pytest.mark.parametrize(
    ("has", "given"),
    [(Level.READ, "r"), (Level.READ_WRITE, "rw"), (Level.ADMIN, "rw")],
)
def test_a_program_has_what_its_starter_has_and_never_more_than_read_write(has: Level, given: str) -> None:
    starter = replace(child(has, credential="mark"), roles=("admin", "editor"))
    made = program_of(Context(starter, "lab"), "app-1", has, ("draft/app",))
    assert made.scope.to_claim() == f"ws:lab#{given} cid:app-1 wid:lab draft/app"
    assert (made.roles, made.parent, made.is_admin) == (("editor",), "owner", False)
    assert made.descent.credentials == ("mark",)  # it ends with the token of its starter


def test_a_program_of_an_owner_is_good_for_as_long_as_that_is_one() -> None:
    made = program_of(Context(OWNER.within("lab", None, Level.ADMIN), "lab"), "app-1", Level.ADMIN)
    if OWNER.scope.level("lab") < Level.READ_WRITE:
        assert made.descent.owner == OWNER.id
    nobody = WorkspaceRecord("lab", owners=("somebody-else",))
    owned = replace(made, descent=replace(made.descent, owner=OWNER.id))
    assert level_for(owned, nobody) is Level.NONE


def test_who_may_not_read_starts_no_programs() -> None:
    elsewhere = child(Level.READ)
    special = Scope({"lab": Level.READ}, "lab", None, ("files:read",))
    for context, level in (
        (Context(elsewhere, "lab"), Level.NONE),
        (Context(elsewhere, "other"), Level.READ),
        (Context(replace(elsewhere, scope=special), "lab"), Level.READ),
    ):  # fmt: skip
        with pytest.raises(PermissionDenied):
            program_of(context, "app-1", level)
