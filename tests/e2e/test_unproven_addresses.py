"""Until an address is verified it confers nothing; its owner starts clean (accounts, row by row)."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller

from hypha.testing import RawClient, RawRefused, ServerProcess
from tests.e2e.accounts_lab import LOGIN, PASSWORD, Api, Mailbox, code_in, mail_settings, new_email
from tests.e2e.chromium import Page
from tests.e2e.login_views import SEEN, SUBMIT, until
from tests.kit.clients import ConnectRaw, StartServer

OWN = "the owner's own password"


class Squatted:
    """A server on which somebody made an account with a victim's address, before it sent e-mail."""

    def __init__(self, server: ServerProcess, box: Mailbox, controller: Controller) -> None:
        self.server, self.box, self.controller = server, box, controller
        self.api = Api(server)
        self.email = new_email()
        self.user_id = self.token = self.other = self.other_token = ""
        self.lab = f"lab-{uuid.uuid4().hex[:8]}"
        self.passing = f"passing-{uuid.uuid4().hex[:8]}"

    @property
    def own(self) -> str:
        return f"ws-user-{self.user_id}"

    async def manager(self, token: str, place: str, function: str, /, **arguments: Any) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        url = f"/{place}/services/ws/{function}"
        answer = await self.api.http.post(url, json=arguments, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def status(self, token: str, workspace: str) -> int:
        """The answer to whoever wants to know what a workspace is."""
        headers = {"authorization": f"Bearer {token}"}
        url = "/public/services/ws/get_workspace_info"
        answer = await self.api.http.post(url, json={"workspace": workspace}, headers=headers)
        return answer.status_code

    async def prepare(self) -> None:
        """What the squatter does: workspaces, a second owner everywhere, tokens, planted values."""
        _, self.user_id, self.token = await self.api.account(self.email)
        _, self.other, self.other_token = await self.api.account()
        for workspace, persistent in ((self.lab, True), (self.passing, False)):
            config = {"id": workspace, "persistent": persistent, "owners": [self.other]}
            await self.manager(self.token, self.own, "create_workspace", config=config)
        config = {"id": self.own, "persistent": True, "owners": [self.other]}
        await self.manager(self.token, self.own, "create_workspace", config=config, overwrite=True)
        await self.manager(self.token, self.own, "set_env", key="PROXY", value="https://evil.example")
        for workspace in (self.lab, self.own):
            assert await self.status(self.other_token, workspace) == 200

    async def begin_mail(self) -> None:
        """The operator sets e-mail up."""
        self.server._env.update(mail_settings(self.controller))
        await asyncio.to_thread(self.server.restart)

    async def reset(self, **more: Any) -> Any:
        """The victim sets a new password."""
        assert (await self.api.call("request_password_reset", email=self.email))["success"]
        _, letter = await self.box.letter(0)
        code = code_in(letter)
        done = await self.api.call("reset_password", email=self.email, code=code, new_password=OWN, **more)
        assert done["success"], done
        return done

    async def sign_in(self, password: str = OWN) -> str:
        return str((await self.api.call("login", email=self.email, password=password))["token"])


@pytest_asyncio.fixture(loop_scope="session")
async def squatted(start_server: StartServer, mailbox: tuple[Mailbox, Controller]) -> AsyncIterator[Squatted]:
    made = Squatted(await start_server(), *mailbox)
    await made.prepare()
    yield made
    await made.api.http.aclose()


async def refused(squatted: Squatted, **fields: Any) -> str:
    """The reason why a socket is not admitted."""
    with pytest.raises(RawRefused) as caught:
        client = await RawClient.connect(squatted.server.ws_url, **fields)
        await client.close()
    return str(caught.value)


async def check_nothing_is_left(squatted: Squatted, tokens: list[str]) -> None:
    for token in tokens:
        answer = await squatted.api.http.post(
            f"{LOGIN}/profile", headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 401, answer.text
        assert "revoked" in await refused(squatted, token=token)
    for workspace in (squatted.own, squatted.lab, squatted.passing):
        assert await squatted.status(squatted.other_token, workspace) in (403, 404), workspace
        await refused(squatted, token=squatted.other_token, workspace=workspace)


async def test_who_resets_starts_clean(squatted: Squatted, connect_raw: ConnectRaw) -> None:
    s = squatted
    url = s.server.ws_url
    generated = await s.manager(s.token, s.own, "generate_token", config={"permission": "admin"})
    for_lab = await s.manager(
        s.other_token, s.lab, "generate_token", config={"workspace": s.lab, "permission": "admin"}
    )
    for_own = await s.manager(
        s.other_token, s.own, "generate_token", config={"workspace": s.own, "permission": "admin"}
    )
    narrowed = (await s.api.call("login", email=s.email, password=PASSWORD, workspace=s.lab))["token"]
    await s.begin_mail()
    squatter = await connect_raw(url=url, token=s.token)
    child = await connect_raw(url=url, token=generated)
    guest = await connect_raw(url=url, token=s.other_token, workspace=s.lab)
    inside = await connect_raw(url=url, token=s.other_token, workspace=s.own)
    gone = await connect_raw(url=url, token=s.other_token, workspace=s.own)
    away = {
        "client_id": gone.info["client_id"],
        "workspace": s.own,
        "reconnection_token": gone.info["reconnection_token"],
    }
    await gone.close()

    done = await s.reset()
    assert done["tokens_ended"] >= 5
    for client in (squatter, child, guest, inside):
        await client.wait_closed(5)
    await check_nothing_is_left(s, [s.token, generated, for_lab, for_own, narrowed])
    for client in (squatter, child, guest, inside):
        await refused(
            s,
            client_id=client.info["client_id"],
            workspace=client.workspace,
            reconnection_token=client.info["reconnection_token"],
        )
    await refused(s, **away)

    token = await s.sign_in()
    assert (await s.api.call("profile", token))["email"] == s.email
    info = await s.manager(token, s.own, "get_workspace_info", workspace=s.own)
    assert info["owners"] == [s.user_id]
    assert await s.manager(token, s.own, "get_env") == {}
    listed = {each["id"] for each in await s.manager(token, s.own, "list_workspaces")}
    assert not listed & {s.lab, s.passing}
    assert await s.status(token, s.lab) in (403, 404), "nobody is in it before it is kept"
    assert len(await s.manager(token, s.own, "list_tokens")) == 1
    await asyncio.to_thread(s.server.restart, kill=True)
    await check_nothing_is_left(s, [s.token, generated, for_lab, for_own, narrowed])


async def test_workspaces_made_before_wait_to_be_kept_or_dropped(squatted: Squatted) -> None:
    s = squatted
    second = f"lab-{uuid.uuid4().hex[:8]}"
    await s.manager(s.token, s.own, "create_workspace", config={"id": second, "persistent": True})
    await s.begin_mail()
    await s.reset()
    token = await s.sign_in()
    waiting = (await s.api.call("held_workspaces", token))["workspaces"]
    assert {each["id"] for each in waiting} == {s.lab, second}
    found = next(each for each in waiting if each["id"] == s.lab)
    assert found["owners_before"] == [s.other]
    for caller in ("", s.other_token):
        assert not (await s.api.call("held_workspaces", caller)).get("workspaces")
        assert not (await s.api.call("keep_workspace", caller, workspace=s.lab))["success"]
        assert not (await s.api.call("drop_workspace", caller, workspace=s.lab))["success"]
    assert not (await s.api.call("keep_workspace", token, workspace=s.own))["success"]

    assert (await s.api.call("keep_workspace", token, workspace=s.lab))["success"]
    info = await s.manager(token, s.own, "get_workspace_info", workspace=s.lab)
    assert info["owners"] == [s.user_id]
    assert await s.status(s.other_token, s.lab) == 403
    assert (await s.api.call("drop_workspace", token, workspace=second))["success"]
    assert await s.status(token, second) == 404
    assert (await s.api.call("held_workspaces", token))["workspaces"] == []


async def test_who_signs_up_with_the_code_of_the_letter_starts_clean(squatted: Squatted) -> None:
    s = squatted
    await s.begin_mail()
    begun = await s.api.call("signup", name="Owner", email=s.email, password=OWN)
    assert begun == {"success": True, "verification_required": True, "email": s.email}
    assert await s.status(s.other_token, s.lab) == 200, "nothing happens before the code"
    _, letter = await s.box.letter(0)
    made = await s.api.call("verify_email", email=s.email, code=code_in(letter), password=OWN)
    assert made["success"] and made["user_id"] == s.user_id
    await check_nothing_is_left(s, [s.token])
    assert not (await s.api.call("login", email=s.email, password=PASSWORD))["success"]
    assert (await s.api.call("login", email=s.email, password=OWN))["name"] == "Owner"


async def test_who_knows_the_password_and_owns_the_mailbox_keeps_what_is_theirs(
    squatted: Squatted, connect_raw: ConnectRaw
) -> None:
    s = squatted
    elsewhere = await s.sign_in(PASSWORD)
    generated = await s.manager(s.token, s.own, "generate_token", config={})
    await s.begin_mail()
    guest = await connect_raw(url=s.server.ws_url, token=s.other_token, workspace=s.own)
    assert not (await s.api.call("prove_email", current_password=PASSWORD))["success"]
    assert not (await s.api.call("prove_email", s.token, current_password="a guess"))["success"]
    sent = await s.api.call("prove_email", s.token, current_password=PASSWORD)
    assert sent == {"success": True, "code_sent": True}
    to, letter = await s.box.letter(0)
    assert to == s.email
    code = code_in(letter)
    proof = {"current_password": PASSWORD, "code": code}
    assert not (await s.api.call("prove_email", s.token, **{**proof, "code": "x" * 12}))["success"]
    assert not (await s.api.call("prove_email", s.other_token, **proof))["success"]
    done = await s.api.call("prove_email", s.token, **proof)
    assert done["success"] and done["email_verified"]
    await guest.wait_closed(5)
    await check_nothing_is_left(s, [elsewhere, generated])
    assert await s.manager(s.token, s.own, "get_env", key="PROXY") == "https://evil.example"
    again = await s.api.call("prove_email", s.token, current_password=PASSWORD)
    assert "proven already" in again["error"]
    token = await s.sign_in(PASSWORD)
    assert (await s.api.call("profile", token))["email"] == s.email


@pytest.mark.browser
async def test_the_profile_page_proves_an_address_and_gives_workspaces_back(squatted: Squatted) -> None:
    s = squatted
    await s.begin_mail()
    async with Page() as page:
        await page.open(f"{s.server.url}/public/apps/hypha-login/")
        await until(page, SEEN, "sign-in")
        await page.run(SUBMIT, form="sign-in", fields={"email": s.email, "password": PASSWORD})
        await until(page, SEEN, "done")
        await page.run("location.hash = '#profile';")
        await until(page, SEEN, "profile")
        await until(page, "return document.querySelector('.unproven').hidden;", False)
        await page.run("document.querySelector('.unproven').open = true;")
        await page.run(SUBMIT, form="proof", fields={"current": PASSWORD})
        await until(page, "return document.querySelector('.proof-code').hidden;", False)
        _, letter = await s.box.letter(0)
        await page.run(SUBMIT, form="proof", fields={"current": PASSWORD, "code": code_in(letter)})
        await until(page, SEEN, "done")
        await page.run("location.hash = '#profile';")
        await until(page, SEEN, "profile")
        await until(page, "return document.querySelector('.unproven').hidden;", True)
        keep = f"[aria-label='Keep {s.lab}']"
        await until(page, f'return document.querySelectorAll("{keep}").length;', 1)
        await page.run(
            f'document.querySelector(".held").open = true; document.querySelector("{keep}").click();'
        )
        await until(page, "return document.querySelector('.held').hidden;", True)
    token = await s.sign_in(PASSWORD)
    info = await s.manager(token, s.own, "get_workspace_info", workspace=s.lab)
    assert info["owners"] == [s.user_id]


async def test_a_workspace_of_others_is_left_and_not_disturbed(
    squatted: Squatted, connect_raw: ConnectRaw
) -> None:
    s = squatted
    theirs = f"theirs-{uuid.uuid4().hex[:8]}"
    config = {"id": theirs, "persistent": True, "owners": [s.user_id]}
    await s.manager(s.other_token, f"ws-user-{s.other}", "create_workspace", config=config)
    assert await s.status(s.token, theirs) == 200
    await s.begin_mail()
    inside = await connect_raw(url=s.server.ws_url, token=s.other_token, workspace=theirs)
    await s.reset()
    assert await s.status(await s.sign_in(), theirs) == 403
    assert await inside.is_alive()
    info = await inside.call_manager("get_workspace_info", theirs)
    assert info["owners"] == [s.other]


async def test_an_unproven_address_owns_nothing(squatted: Squatted) -> None:
    s = squatted
    granted = f"granted-{uuid.uuid4().hex[:8]}"
    config = {"id": granted, "persistent": True, "owners": [s.email]}
    await s.manager(s.other_token, f"ws-user-{s.other}", "create_workspace", config=config)
    for token in (s.token, await s.sign_in(PASSWORD)):
        assert await s.status(token, granted) == 403
        listed = {each["id"] for each in await s.manager(token, s.own, "list_workspaces")}
        assert granted not in listed
        child = await s.manager(token, s.own, "generate_token", config={"permission": "admin"})
        assert await s.status(child, granted) == 403
    narrow = await s.api.call("login", email=s.email, password=PASSWORD, workspace=granted)
    assert not narrow["success"]
    begun = await s.api.call("start")
    headers = {"authorization": f"Bearer {s.token}"}
    approve = {"key": begun["key"]}
    answer = await s.api.http.post("/public/apps/hypha-login/approve", json=approve, headers=headers)
    assert answer.status_code == 200
    found = await s.api.call("check", key=begun["key"], timeout=5, profile=True)
    assert found["email_verified"] is False
    await s.begin_mail()
    assert await s.status(s.token, granted) == 403
    await s.reset()
    assert await s.status(await s.sign_in(), granted) == 200, "the owner of the address is meant"


async def test_the_role_admin_does_not_come_with_a_mailbox(
    start_server: StartServer, mailbox: tuple[Mailbox, Controller]
) -> None:
    box, controller = mailbox
    server = await start_server(env=mail_settings(controller))
    api = Api(server)
    link = re.findall(r"#administrator=(\w+)", server.log)[-1]
    person = {"name": "Root", "email": new_email(), "password": PASSWORD}
    assert (await api.call("create_administrator", link=link, **person))["success"]
    before = (await api.call("login", email=person["email"], password=PASSWORD))["token"]
    invitation = (await api.call("create_invitation", before))["invitation"]
    assert (await api.call("request_password_reset", email=person["email"]))["success"]
    _, letter = await box.letter(0)
    change = {"email": person["email"], "code": code_in(letter), "new_password": OWN}
    assert (await api.call("reset_password", **change))["success"]
    token = (await api.call("login", email=person["email"], password=OWN))["token"]
    assert (await api.call("profile", token))["roles"] == []
    guest = {"name": "Guest", "email": new_email(), "password": PASSWORD}
    refused = await api.call("signup", invitation=invitation, **guest)
    assert refused["error"].startswith("This invitation is not valid")
    assert "is no administrator any more" in server.log
    await asyncio.to_thread(server.restart)
    assert re.findall(r"#administrator=(\w+)", server.log)[-1] != link, "the operator chooses anew"
    await api.http.aclose()


async def test_an_administrator_who_proves_the_address_stays_one(
    start_server: StartServer, mailbox: tuple[Mailbox, Controller]
) -> None:
    box, controller = mailbox
    server = await start_server(env=mail_settings(controller))
    api = Api(server)
    link = re.findall(r"#administrator=(\w+)", server.log)[-1]
    person = {"name": "Root", "email": new_email(), "password": PASSWORD}
    assert (await api.call("create_administrator", link=link, **person))["success"]
    token = (await api.call("login", email=person["email"], password=PASSWORD))["token"]
    assert (await api.call("prove_email", token, current_password=PASSWORD))["success"]
    _, letter = await box.letter(0)
    done = await api.call("prove_email", token, current_password=PASSWORD, code=code_in(letter))
    assert done["success"]
    assert (await api.call("profile", token))["roles"] == ["admin"]
    await api.http.aclose()


async def test_a_report_proves_no_address(server: ServerProcess) -> None:
    api = Api(server)
    _, _, token = await api.account()
    begun = await api.call("start")
    profile = {"email": "boss@example.org", "email_verified": True}
    report = {"key": begun["key"], "token": token, **profile}
    assert (await api.http.post(f"{LOGIN}/report", json=report)).status_code == 200
    found = await api.call("check", key=begun["key"], timeout=5, profile=True)
    assert (found["email"], found["email_verified"]) == ("boss@example.org", False)
    await api.http.aclose()


async def test_a_sign_in_for_one_workspace_changes_no_account(squatted: Squatted) -> None:
    s = squatted
    narrowed = (await s.api.call("login", email=s.email, password=PASSWORD, workspace=s.lab))["token"]
    assert not (await s.api.call("update_profile", narrowed, name="Mallory"))["success"]
    assert not (await s.api.call("held_workspaces", narrowed))["success"]
