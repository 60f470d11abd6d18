"""Who may make an account: everybody, people of some domains, those who were invited, or nobody."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller

from hypha.testing import ServerFailed, ServerProcess
from tests.e2e.accounts_lab import LOGIN, PASSWORD, Api, Mailbox, code_in, mail_settings, new_email
from tests.e2e.chromium import Page
from tests.e2e.login_views import SEEN, SUBMIT, until
from tests.kit.clients import StartServer, shared_server

DENIED = "permission_denied"


by_invitation = shared_server(env={"HYPHA_SIGN_UP": "invitation"})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def invited(by_invitation: ServerProcess) -> AsyncIterator[Api]:
    """A server on which nobody makes an account without an invitation."""
    api = Api(by_invitation)
    yield api
    await api.http.aclose()


def root(api: Api) -> str:
    assert api.server.root_token
    return api.server.root_token


async def sign_up(api: Api, email: str, **more: Any) -> Any:
    """Make an account where no e-mail is sent; the last answer."""
    begun = await api.call("signup", name="Ann", email=email, password=PASSWORD, **more)
    if not begun["success"]:
        return begun
    return await api.call("verify_email", email=email, code=begun["dev_code"], password=PASSWORD)


async def test_an_invitation_makes_as_many_accounts_as_it_says(invited: Api) -> None:
    api = invited
    assert (await sign_up(api, new_email()))["code"] == DENIED
    assert (await sign_up(api, new_email(), invitation="x" * 32))["code"] == DENIED
    made = await api.call("create_invitation", root(api), uses=2, note="the course")
    assert made["success"] and made["link"].endswith(f"/#invitation={made['invitation']}")
    first = new_email()
    assert (await sign_up(api, first, invitation=made["link"]))["success"]
    emails = [new_email() for _ in range(5)]
    begun = [
        await api.call("signup", name="P", email=each, password=PASSWORD, invitation=made["invitation"])
        for each in emails
    ]
    done = await asyncio.gather(
        *(
            api.call("verify_email", email=email, code=each["dev_code"])
            for email, each in zip(emails, begun, strict=True)
        )
    )
    assert sum(each["success"] for each in done) == 1, "side by side none is used twice"
    assert {each["code"] for each in done if not each["success"]} == {DENIED}
    assert (await sign_up(api, new_email(), invitation=made["invitation"]))["code"] == DENIED
    listed = (await api.call("list_invitations", root(api)))["invitations"]
    (own,) = [each for each in listed if each["id"] == made["id"]]
    assert (own["used"], own["uses"], own["is_good"], own["note"]) == (2, 2, False, "the course")
    assert made["invitation"] not in str(listed)
    assert (await api.call("login", email=first, password=PASSWORD))["success"]


async def test_an_invitation_is_for_its_address_and_its_time(invited: Api) -> None:
    api = invited
    email = new_email()
    made = await api.call("create_invitation", root(api), email=email.upper())
    assert (await sign_up(api, new_email(), invitation=made["invitation"]))["code"] == DENIED
    short = await api.call("create_invitation", root(api), expires_in=0.01)
    taken_back = await api.call("create_invitation", root(api))
    assert (await api.call("revoke_invitation", root(api), id=taken_back["id"]))["success"]
    assert not (await api.call("revoke_invitation", root(api), id=taken_back["id"]))["success"]
    for each in (short, taken_back):
        assert (await sign_up(api, new_email(), invitation=each["invitation"]))["code"] == DENIED
    assert (await sign_up(api, email, invitation=made["invitation"]))["success"]


async def test_invitations_are_for_administrators(invited: Api) -> None:
    api = invited
    made = await api.call("create_invitation", root(api))
    person = new_email()
    await sign_up(api, person, invitation=made["invitation"])
    token = (await api.call("login", email=person, password=PASSWORD))["token"]
    for function, arguments in (
        ("create_invitation", {}), ("list_invitations", {}), ("revoke_invitation", {"id": made["id"]}),
    ):  # fmt: skip
        for caller in ("", token):
            headers = {"authorization": f"Bearer {caller}"} if caller else {}
            answer = await api.http.post(f"{LOGIN}/{function}", json=arguments, headers=headers)
            assert answer.status_code == 403, answer.text
    for wrong in ({"uses": 0}, {"uses": 1.5}, {"expires_in": -1}, {"expires_in": 1e12}, {"note": "x" * 600},
                  {"email": "nobody"}):  # fmt: skip
        assert not (await api.call("create_invitation", root(api), **wrong))["success"], wrong


async def test_copies_of_the_database_give_no_invitation_away(invited: Api) -> None:
    made = await invited.call("create_invitation", root(invited))
    files = await asyncio.to_thread(lambda: [p for p in invited.server.data_dir.rglob("*") if p.is_file()])
    assert len(files) > 1
    for file in files:
        assert made["invitation"].encode() not in file.read_bytes(), file


async def test_people_of_a_domain_sign_up_with_proven_addresses(
    start_server: StartServer, mailbox: tuple[Mailbox, Controller]
) -> None:
    box, controller = mailbox
    settings = mail_settings(controller, HYPHA_SIGN_UP_DOMAINS="uni.example, *.Labs.Example,münchen.example")
    api = Api(await start_server(env=settings))
    person = {"name": "Ann", "password": PASSWORD}
    for email in (
        "a@elsewhere.example", "a@evil-uni.example", "a@uni.example.evil", "a@x.uni.example",
        "a@labs.example", "a@elabs.example", "a@munchen.example", "a@uni.example.",
    ):  # fmt: skip
        refused = await api.call("signup", email=email, **person)
        assert not refused["success"] and not box.letters, email
    number = 0
    for email in ("ann@Uni.example", "bob@cells.labs.example", "cat@a.b.labs.example", "dan@MÜNCHEN.example"):
        begun = await api.call("signup", email=email, **person)
        assert begun["success"] and "dev_code" not in begun, email
        _, letter = await box.letter(number)
        number += 1
        assert not (await api.call("login", email=email, password=PASSWORD))["success"]
        assert (await api.call("verify_email", email=email, code=code_in(letter)))["success"]
        token = (await api.call("login", email=email, password=PASSWORD))["token"]
        assert (await api.call("profile", token))["email"] == email
    made = await api.call("create_invitation", root(api))
    guest = {"email": "guest@elsewhere.example", **person}
    assert (await api.call("signup", invitation=made["invitation"], **guest))["success"]
    _, letter = await box.letter(number)
    assert (await api.call("verify_email", email=guest["email"], code=code_in(letter)))["success"]
    await api.http.aclose()


async def test_a_sign_up_that_was_begun_before_is_judged_by_the_settings_of_now(
    start_server: StartServer,
) -> None:
    api = Api(await start_server())
    email = new_email()
    begun = await api.call("signup", name="Ann", email=email, password=PASSWORD)
    for mode in ("invitation", "closed"):
        api.server._env["HYPHA_SIGN_UP"] = mode
        await asyncio.to_thread(api.server.restart)
        late = await api.call("verify_email", email=email, code=begun["dev_code"])
        assert late["code"] == DENIED, mode
    assert (await api.call("signup", name="Ann", email=email, password=PASSWORD))["code"] == DENIED
    assert not (await api.call("create_invitation", root(api)))["success"]
    session = (await api.http.get("/public/apps/hypha-login/session")).json()
    assert (session["sign_up"], session["invites"]) == (False, False)
    await api.http.aclose()


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ({"HYPHA_SIGN_UP": "everyone"}, "HYPHA_SIGN_UP must be one of open, invitation, closed"),
        ({"HYPHA_SIGN_UP_DOMAINS": "uni.example"}, "HYPHA_SIGN_UP_DOMAINS needs e-mail"),
    ],
)
async def test_settings_that_cannot_hold_are_refused(
    start_server: StartServer, env: dict[str, str], text: str
) -> None:
    with pytest.raises(ServerFailed, match=text):
        await start_server(env=env)


@pytest.mark.browser
async def test_an_administrator_invites_and_a_guest_joins_on_the_page(invited: Api) -> None:
    server = invited.server
    start = f"{server.url}/public/apps/hypha-login/"
    link = re.findall(r"#administrator=(\w+)", server.log)[-1]
    async with Page() as page:
        await administer(page, start, link)
        await page.run("location.hash = '#profile';")
        await until(page, SEEN, "profile")
        await until(page, "return document.querySelector('.inviting').hidden;", False)
        await page.run("document.querySelector('.inviting').open = true;")
        await page.run(SUBMIT, form="invite", fields={"uses": "1"})
        made = "return document.querySelector('[data-invitation]').value.includes('#invitation=');"
        await until(page, made, True)
        invitation = str(await page.run("return document.querySelector('[data-invitation]').value;"))
    async with Page() as page:
        await page.open(start)
        await until(page, SEEN, "sign-in")
        assert await page.run("return document.querySelector('a.sign-up').hidden;") is True
        await page.run("location.hash = '#sign-up';")
        await until(page, SEEN, "sign-in")
        await page.open("about:blank")
        await page.command("Page.navigate", url=invitation)
        await until(page, SEEN, "sign-up")
        assert "invitation=" not in str(await page.run("return location.href;"))
        assert await page.run("return document.querySelector('.invited').hidden;") is False
        guest = {"name": "Guest", "email": new_email(), "password": PASSWORD}
        await page.run(SUBMIT, form="sign-up", fields=guest)
        await until(page, SEEN, "done")
        assert await page.run("return document.title;") == "Hypha Account"


async def administer(page: Page, start: str, link: str) -> None:
    await page.command("Page.navigate", url=f"{start}#administrator={link}")
    await until(page, SEEN, "administrator")
    person = {"name": "Root", "email": new_email(), "password": PASSWORD}
    await page.run(SUBMIT, form="administrator", fields=person)
    await until(page, SEEN, "done")
