"""Local accounts over HTTP and RPC, e-mail included (docs/accounts.md)."""

from __future__ import annotations

import asyncio
import http.server
import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from hypha_rpc import connect_to_server

from hypha.testing import RawRefused, ServerProcess
from tests.e2e.accounts_lab import LOGIN, PAGE, PASSWORD, Api, Mailbox, mail_settings, new_email
from tests.kit.clients import Connect, ConnectRaw, StartServer


@pytest_asyncio.fixture(loop_scope="session")
async def api(server: ServerProcess) -> AsyncIterator[Api]:
    opened = Api(server)
    yield opened
    await opened.http.aclose()


@pytest.mark.spec("core-A7")
async def test_sign_up_verify_and_sign_in(api: Api, server: ServerProcess) -> None:
    email = f"Ann.{new_email()}"
    begun = await api.call("signup", name="Ann Lee", email=email, password=PASSWORD)
    code = begun.pop("dev_code")
    assert begun == {"success": True, "verification_required": True, "email": email}

    wrong = await api.call("verify_email", email=email, code=f"{(int(code) + 1) % 10**6:06d}")
    assert (wrong["success"], wrong["error"]) == (False, "Incorrect code. 4 attempt(s) remaining.")
    early = await api.call("login", email=email, password=PASSWORD)
    assert early["error"] in ("Invalid email or password", "No users registered yet. Please sign up first.")

    made = await api.call("verify_email", email=email.upper(), code=code)
    assert made == {"success": True, "user_id": made["user_id"], "email_verified": True}
    replayed = await api.call("verify_email", email=email, code=code)
    assert replayed["error"].startswith("No pending verification for this email")

    refused = await api.call("login", email=email, password="wrong horse battery")
    assert (refused["success"], refused["error"]) == (False, "Invalid email or password")
    unknown = await api.call("login", email=new_email(), password=PASSWORD)
    assert unknown["error"] == refused["error"]

    signed = await api.call("login", email=email.upper(), password=PASSWORD)
    assert signed["user_id"] == made["user_id"] and signed["email"] == email
    assert signed["workspace"] == f"ws-user-{made['user_id']}"
    own = {"authorization": f"Bearer {signed['token']}"}
    answer = await api.http.get(f"/{signed['workspace']}/services/ws/check_status", headers=own)
    assert answer.status_code == 200 and answer.json()["status"] == "ready"

    again = await api.call("signup", name="Bob", email=email.lower(), password=PASSWORD)
    assert again["error"] == "Email already registered"


@pytest.mark.spec("core-A7")
async def test_the_token_works_from_every_place(api: Api) -> None:
    _, user_id, token = await api.account()
    profile = f"{LOGIN}/profile"
    for headers in (
        {"authorization": f"Bearer {token}"},
        {"x-local-auth": token},
        {"cookie": f"hypha_local_token={token}"},
        {"cookie": f"access_token={token}"},
    ):
        answer = (await api.http.post(profile, json={}, headers=headers)).json()
        assert answer["user_id"] == user_id, headers
    elsewhere = {"cookie": f"hypha_local_token={token}", "sec-fetch-site": "cross-site"}
    assert (await api.http.post(profile, json={}, headers=elsewhere)).json()["is_anonymous"]


async def test_the_functions_answer_over_rpc(api: Api, connect: Connect) -> None:
    anonymous = await connect()
    service = await anonymous.get_service("public/hypha-login")
    email = new_email()
    begun = await service.signup(name="Řehoř", email=email, password=PASSWORD)
    made = await service.verify_email(email, begun["dev_code"])
    signed = await service.login(email=email, password=PASSWORD)
    person = await connect(token=signed["token"])
    assert person.config.workspace == f"ws-user-{made['user_id']}"
    assert person.config.user["id"] == made["user_id"]
    short = await service.signup(name="x", email=new_email(), password="short")
    assert short["error"] == "Password must be at least 8 characters"
    missing = await service.signup(name="x", email=new_email())
    assert missing["error"] == "Name, email and password are required"


@pytest.mark.spec("core-11.1.2")
async def test_the_workspace_argument_only_narrows(api: Api, connect: Connect) -> None:
    email, _, token = await api.account()
    for workspace in ("ws-user-root", "public", "ws-user-somebody", "no-such-workspace"):
        refused = await api.call("login", email=email, password=PASSWORD, workspace=workspace)
        assert refused["success"] is False and "token" not in refused, workspace
        assert refused["code"] == "permission_denied"

    owner = await connect(token=token)
    made = await owner.create_workspace({"id": f"lab-{uuid.uuid4().hex[:8]}", "name": "lab"})
    narrowed = await api.call("login", email=email, password=PASSWORD, workspace=made["id"])
    assert narrowed["workspace"] == made["id"]
    client = await connect(token=narrowed["token"])
    assert client.config.workspace == made["id"]


@pytest.mark.spec("core-11.1.11")
async def test_a_profile_is_changed_by_its_owner_alone(api: Api) -> None:
    email, _, token = await api.account()
    _, _, other = await api.account()
    for caller in ("", other):
        refused = await api.call("update_profile", caller, user_email=email, name="Mallory")
        assert refused["success"] is False
        refused = await api.call(
            "update_profile",
            caller,
            user_email=email,
            current_password="a guess",
            new_password="new password",
        )
        assert refused["error"] == "Current password is incorrect"
    for guess in ({"name": "x"}, {"current_password": "a guess", "new_password": "new password"}):
        known = await api.call("update_profile", user_email=email, **guess)
        unknown = await api.call("update_profile", user_email=new_email(), **guess)
        assert known == unknown, "nobody is told whether there is an account"

    assert (await api.call("update_profile", token, name="Ann Li"))["success"]
    assert (await api.call("login", email=email, password=PASSWORD))["name"] == "Ann Li"
    without = await api.call("update_profile", token, new_password="new password")
    assert without["success"] is False
    done = await api.call(
        "update_profile", token, user_email=email, current_password=PASSWORD, new_password="new password"
    )
    assert done["success"]
    assert not (await api.call("login", email=email, password=PASSWORD))["success"]
    assert (await api.call("login", email=email, password="new password"))["success"]


async def is_known(api: Api, token: str) -> bool:
    """Whether a token still counts over HTTP."""
    answer = await api.http.post(f"{LOGIN}/profile", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


async def program_token(api: Api, token: str) -> str:
    """A token of a program that a person's page has allowed."""
    begun = await api.call("start")
    approved = await api.post("approve", {"key": begun["key"]}, authorization=f"Bearer {token}")
    assert approved.status_code == 200, approved.text
    return str(await api.call("check", key=begun["key"], timeout=5))


@pytest.mark.parametrize("revoke_tokens", [False, True])
async def test_a_new_password_ends_all_other_sign_ins(
    api: Api, connect_raw: ConnectRaw, revoke_tokens: bool
) -> None:
    email, _, here = await api.account()
    elsewhere = (await api.call("login", email=email, password=PASSWORD))["token"]
    program = await program_token(api, elsewhere)
    mine = await connect_raw(token=here)
    stolen = await connect_raw(token=elsewhere)
    allowed = await connect_raw(token=program)
    generated = await stolen.call_manager("generate_token", {"permission": "admin"})
    child = await connect_raw(token=generated)
    grandchild = await child.call_manager("generate_token", {"permission": "read"})
    kinds = {each["kind"] for each in await mine.call_manager("list_tokens")}
    assert kinds == {"session", "login", "generated"}

    change = {"current_password": PASSWORD, "new_password": "another password"}
    wrong = await api.call("update_profile", here, **{**change, "current_password": "a guess"})
    assert not wrong["success"] and await is_known(api, elsewhere)
    done = await api.call("update_profile", here, **change, revoke_tokens=revoke_tokens)
    assert done["success"] and done["tokens_ended"] == (4 if revoke_tokens else 2)
    for client in (stolen, allowed, *([child] if revoke_tokens else [])):
        assert (await client.wait_closed(5))[0] == 1008
    assert await mine.is_alive() and await is_known(api, here)
    assert [await is_known(api, each) for each in (elsewhere, program)] == [False, False]
    for each in (generated, grandchild):
        assert await is_known(api, each) is not revoke_tokens
    assert await child.is_alive() is not revoke_tokens
    with pytest.raises(RawRefused, match="Token has been revoked"):
        await connect_raw(
            client_id=stolen.info["client_id"],
            workspace=stolen.workspace,
            reconnection_token=stolen.info["reconnection_token"],
        )
    assert not (await api.call("login", email=email, password=PASSWORD))["success"]


async def test_signing_out_ends_the_session_but_no_program(api: Api) -> None:
    _, _, token = await api.account()
    program = await program_token(api, token)
    pasted = await api.post("logout", authorization=f"Bearer {program}")
    assert pasted.status_code == 200 and await is_known(api, program), "it is no session of a browser"
    foreign = {"cookie": f"access_token={token}", "sec-fetch-site": "cross-site"}
    assert (await api.post("logout", **foreign)).status_code == 403
    assert await is_known(api, token)
    assert (await api.post("logout", cookie=f"access_token={token}")).status_code == 200
    assert not await is_known(api, token)
    assert await is_known(api, program)


@pytest.mark.spec("core-11.1.11")
async def test_passwords_are_guessed_a_few_times_only(api: Api) -> None:
    email, _, _ = await api.account()
    guesses = await asyncio.gather(
        *(api.call("login", email=email, password=f"guess number {n}") for n in range(14))
    )
    refused = [each for each in guesses if each["code"] == "rate_limited"]
    assert len(refused) == 4
    assert refused[0]["retry_after_s"] > 0 and "Too many attempts" in refused[0]["error"]
    right = await api.call("login", email=email, password=PASSWORD)
    assert right["code"] == "rate_limited", "the right password must not tell itself apart now"
    other, _, _ = await api.account()
    assert (await api.call("login", email=other, password=PASSWORD))["success"]


async def test_no_number_of_addresses_locks_an_account(start_server: StartServer) -> None:
    server = await start_server(flags=["--trusted-proxies=127.0.0.1"])
    api = Api(server)

    async def login(password: str, address: str, cookie: str = "") -> Any:
        headers = {"x-forwarded-for": address, **({"cookie": cookie} if cookie else {})}
        body = {"email": email, "password": password}
        return (await api.http.post(f"{LOGIN}/login", json=body, headers=headers, timeout=60)).json()

    email, _, token = await api.account()
    signed = await api.post("session", authorization=f"Bearer {token}")
    cookies = [each for each in signed.headers.get_list("set-cookie") if each.startswith("hypha_device_")]
    assert len(cookies) == 1
    assert f"path={LOGIN}".lower() in cookies[0].lower() and "httponly" in cookies[0].lower()
    device = cookies[0].partition(";")[0]
    api.http.cookies.clear()

    places = [f"198.51.100.{number}" for number in range(13)]
    wrong = [login("a wrong guess", place) for place in places for _ in range(10)]
    codes = Counter(each["code"] for each in await asyncio.gather(*wrong))
    assert set(codes) == {"not_authenticated", "rate_limited"}
    assert (await login("a wrong guess", places[0]))["code"] == "rate_limited"
    assert (await login(PASSWORD, places[0], device))["success"], "a device that signed in before"
    assert (await login(PASSWORD, "203.0.113.9"))["success"], "a place that is new"
    assert (await login(PASSWORD, "203.0.113.9"))["success"]
    refused = await login(PASSWORD, places[0], device[:-1] + ("0" if device[-1] != "0" else "1"))
    assert refused["code"] == "rate_limited", "a cookie that is not ours"
    await api.http.aclose()


async def test_codes_are_guessed_a_few_times_only(api: Api) -> None:
    email = new_email()
    begun = await api.call("signup", name="Ann", email=email, password=PASSWORD)
    wrong = f"{(int(begun['dev_code']) + 1) % 10**6:06d}"
    answers = [await api.call("verify_email", email=email, code=wrong) for _ in range(5)]
    assert answers[0]["error"] == "Incorrect code. 4 attempt(s) remaining."
    assert answers[4]["error"] == "Too many incorrect attempts. Please sign up again."
    late = await api.call("verify_email", email=email, code=begun["dev_code"])
    assert late["error"] == "Too many incorrect attempts. Please sign up again."
    soon = await api.call("resend_code", email=email)
    assert re.fullmatch(r"Please wait \d+s before requesting another code\.", soon["error"])


@pytest.mark.parametrize(
    ("password", "status"), [("x" * 1024 * 1024, 413), ("x" * 60 * 1024, 400), ("ü" * 600, 400)]
)
async def test_monstrous_passwords_are_refused(api: Api, password: str, status: int) -> None:
    for function, more in (("signup", {"name": "Ann"}), ("login", {})):
        body = {"email": new_email(), "password": password, **more}
        answer = await api.http.post(f"{LOGIN}/{function}", json=body)
        if answer.status_code == 200:
            assert answer.json()["success"] is False and answer.json()["code"] == "invalid_arguments"
        else:
            assert answer.status_code == status


@pytest.mark.parametrize(
    "name",
    ["Ἀριστοτέλης", "孔子", "محمد", "यशोदा", "ゆき", "김서연", "דוד", "ምንሊክ", "สมชาย", "👩‍🔬 Ada"],
)
async def test_names_of_every_script(api: Api, name: str) -> None:
    email, _, _ = await api.account(name=name)
    assert (await api.call("login", email=email, password=PASSWORD))["name"] == name


async def test_passwords_stay_out_of_addresses(api: Api) -> None:
    answer = await api.http.get(f"{LOGIN}/login", params={"email": "a@example.org", "password": PASSWORD})
    assert answer.json()["success"] is False and "POST" in answer.json()["error"]


async def test_what_happens_to_an_account_stands_in_the_audit_log_without_secrets(api: Api) -> None:
    email, user_id, token = await api.account()
    wrong = "a secret typed wrongly"
    await api.call("login", email=email, password=wrong)
    await api.call("login", email=f"{wrong}@nowhere", password=wrong)
    change = {"current_password": PASSWORD, "new_password": "another password"}
    assert (await api.call("update_profile", token, **change))["success"]
    root = {"authorization": f"Bearer {api.server.root_token}"}
    url = "/ws-user-root/services/admin-utils/get_audit_log"
    entries = (await api.http.post(url, json={"user_id": user_id}, headers=root)).json()
    actions = ["password_changed", "sign_in_refused", "signed_in", "account_made"]
    assert [entry["action"] for entry in entries] == actions
    assert {entry["address"] for entry in entries} == {"127.0.0.1"}
    everything = (await api.http.post(url, json={"limit": 1000}, headers=root)).text
    for secret in (PASSWORD, wrong, "another password", token, token.rpartition(".")[2]):
        assert secret not in everything
    for other in ({}, {"authorization": f"Bearer {token}"}):
        assert (await api.http.post(url, json={}, headers=other)).status_code == 403


async def test_login_completes_a_key(api: Api) -> None:
    email, user_id, _ = await api.account()
    begun = await api.call("start")
    signed = await api.call("login", email=email, password=PASSWORD, key=begun["key"])
    assert signed["success"]
    profile = await api.call("check", key=begun["key"], timeout=5, profile=True)
    assert profile["user_id"] == user_id and profile["email"] == email and profile["token"]
    assert profile["email_verified"] is False, "nobody sent an e-mail"
    replayed = await api.call("login", email=email, password=PASSWORD, key=begun["key"])
    assert replayed == {"success": False, "error": "Invalid login key", "code": "invalid_request"}


# -- the page ------------------------------------------------------------------------------------


async def test_session_cookie_and_approval(api: Api) -> None:
    _, user_id, token = await api.account()
    opened = await api.post("session", authorization=f"Bearer {token}")
    cookie = opened.headers["set-cookie"].lower()
    assert cookie.startswith("access_token=") and "path=/;" in cookie and "samesite=lax" in cookie
    assert "httponly" in cookie and 86000 < int(re.search(r"max-age=(\d+)", cookie)[1]) <= 86400  # type: ignore[index]

    own = {"cookie": f"access_token={token}"}
    seen = (await api.http.get(f"{PAGE}/session", headers=own)).json()
    assert seen["user"]["id"] == user_id and token not in str(seen)

    begun = await api.call("start")
    assert (await api.post("approve", {"key": begun["key"]}, **own)).status_code == 200
    given = await api.call("check", key=begun["key"], timeout=5)
    client = await connect_to_server({"server_url": api.server.url, "token": given})
    assert client.config.user["id"] == user_id
    await client.disconnect()
    assert (await api.post("approve", {"key": begun["key"]}, **own)).status_code == 400

    gone = await api.post("logout", **own)
    assert all("max-age=0" in each.lower() for each in gone.headers.get_list("set-cookie"))


async def test_other_sites_cannot_act_through_the_page(api: Api) -> None:
    _, _, token = await api.account()
    begun = await api.call("start")
    own = {"cookie": f"access_token={token}"}
    for foreign in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ):
        for path in ("approve", "session", "logout"):
            refused = await api.post(path, {"key": begun["key"]}, **own, **foreign)
            assert refused.status_code == 403, (path, foreign)
            assert "set-cookie" not in refused.headers
    form = await api.http.post(f"{PAGE}/approve", data={"key": begun["key"]}, headers=own)
    assert form.status_code == 415
    assert (
        await api.http.get(f"{PAGE}/approve", params={"key": begun["key"]}, headers=own)
    ).status_code == 404
    assert (await api.post("approve", {"key": begun["key"]})).status_code == 401
    assert (await api.post("session", authorization=f"Bearer {api.server.root_token}")).status_code == 403
    assert await api.call("check", key=begun["key"], timeout=0) is None


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "http:/evil", "x"],
)
async def test_open_redirects_are_refused(api: Api, target: str) -> None:
    for word in ("redirect", "redirect_uri", "next"):
        page = await api.http.get(f"{PAGE}/", params={word: target})
        assert page.status_code == 400 and "evil" not in page.text and "javascript:" not in page.text
    assert (await api.http.get(f"{PAGE}/", params={"origin": target})).status_code == 400


async def test_the_page_is_closed_to_other_hosts(api: Api) -> None:
    page = await api.http.get(f"{PAGE}/", params={"redirect": "/public/", "origin": api.server.url})
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy and "unsafe" not in policy
    assert not re.search(r"(src|href)=\"?(https?:)?//", page.text)


# -- servers of one's own ------------------------------------------------------------------------


async def test_codes_come_by_mail(start_server: StartServer, mailbox: tuple[Mailbox, Controller]) -> None:
    box, controller = mailbox
    settings = mail_settings(controller, HYPHA_VERIFICATION_CODE_RESEND_THROTTLE="0")
    api = Api(await start_server(env=settings))
    email = "müller@example.org"
    begun = await api.call("signup", name="Müller", email=email, password=PASSWORD)
    assert begun == {"success": True, "verification_required": True, "email": email}
    to, text = await box.letter(0)
    assert to == email
    assert (await api.call("resend_code", email=email)) == {"success": True, "email": email}
    assert (await api.call("resend_code", email="nobody@example.org"))["success"]
    _, second = await box.letter(1)
    old, new = (re.search(r"code is (\d{6})", each)[1] for each in (text, second))  # type: ignore[index]
    if old != new:
        assert not (await api.call("verify_email", email=email, code=old))["success"]
    assert (await api.call("verify_email", email=email, code=new))["success"]

    before = (await api.call("login", email=email, password=PASSWORD))["token"]
    program = await program_token(api, before)
    workspace = (await api.call("profile", before))["workspace"]
    own = {"authorization": f"Bearer {before}"}
    made = await api.http.post(f"/{workspace}/services/ws/generate_token", json={}, headers=own)
    assert made.status_code == 200
    known = await api.call("request_password_reset", email=email)
    unknown = await api.call("request_password_reset", email="nobody@example.org")
    assert known == unknown and known["success"]
    _, letter = await box.letter(2)
    code = re.search(r"^ {4}(\S+)", letter.replace("\r", ""), re.M)[1]  # type: ignore[index]
    change = {"email": email, "new_password": "another password"}
    wrong = await api.call("reset_password", **change, code="A" * 12)
    nobody = await api.call("reset_password", **{**change, "email": "nobody@example.org"}, code=code)
    assert wrong == nobody and not wrong["success"]
    assert (await api.call("reset_password", **change, code=code))["success"]
    assert not (await api.call("reset_password", **change, code=code))["success"], "a code works once"
    assert not (await api.call("login", email=email, password=PASSWORD))["success"]
    token = (await api.call("login", email=email, password="another password"))["token"]
    ended = [not await is_known(api, each) for each in (before, program, made.json(), token)]
    assert ended == [True, True, False, False], "a new password ends the sign-ins before it"
    await asyncio.to_thread(api.server.restart, kill=True)
    assert not await is_known(api, before) and await is_known(api, token)

    profile = await api.call("profile", token)
    assert profile["email"] == email, "a proven address stands in the token"
    assert len(box.letters) == 3, "strangers get no letters"
    await api.http.aclose()


class Resend:
    """A small HTTP server in place of Resend's: keeps what it gets, answers as it is told."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, dict[str, str], Any]] = []
        self.strays = 0
        self.status, self.headers = 200, {}
        resend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                resend.letters.append((self.path, headers, json.loads(self.rfile.read(size))))
                self._answer(resend.status, resend.headers)

            def do_GET(self) -> None:
                resend.strays += 1
                self._answer(200, {})

            def _answer(self, status: int, headers: dict[str, str]) -> None:
                body = json.dumps({"id": "1", "message": "the inside of the service"}).encode()
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def resend() -> Iterator[Resend]:
    running = Resend()
    try:
        yield running
    finally:
        running.server.shutdown()
        running.server.server_close()


async def test_codes_come_by_resend(start_server: StartServer, resend: Resend) -> None:
    settings = {
        "RESEND_API_KEY": "re_secret-key",
        "RESEND_API_URL": f"{resend.url}/v1/",
        "HYPHA_VERIFICATION_FROM_EMAIL": "Hypha <hypha@example.org>",
        "HYPHA_VERIFICATION_CODE_RESEND_THROTTLE": "0",
    }
    api = Api(await start_server(env=settings))
    body = {"name": "Ann", "email": "ann@example.org", "password": PASSWORD}

    for status, headers in (
        (401, {}), (422, {}), (429, {}), (500, {}), (302, {"location": f"{resend.url}/elsewhere"}),
        (307, {"location": f"{resend.url}/elsewhere"}),
    ):  # fmt: skip
        resend.status, resend.headers = status, headers
        failed = await api.http.post(f"{LOGIN}/signup", json=body)
        assert (failed.status_code, failed.json()["code"]) == (503, "backend_unavailable"), status
        for secret in ("re_secret", "inside", "127.0.0.1", "Traceback"):
            assert secret not in failed.text
    assert len(resend.letters) == 6 and resend.strays == 0, "the key follows no redirect"

    resend.status, resend.headers = 200, {}
    begun = await api.call("signup", **body)
    assert begun == {"success": True, "verification_required": True, "email": "ann@example.org"}
    path, sent, letter = resend.letters[-1]
    assert path == "/v1/emails" and sent["authorization"] == "Bearer re_secret-key"
    assert sent["content-type"] == "application/json"
    assert (letter["from"], letter["to"]) == ("Hypha <hypha@example.org>", ["ann@example.org"])
    code = re.search(r"code is (\d{6})", letter["text"])[1]  # type: ignore[index]
    assert (await api.call("verify_email", email="ann@example.org", code=code))["success"]

    resend.server.shutdown()
    resend.server.server_close()
    gone = await api.http.post(f"{LOGIN}/signup", json={**body, "email": "bob@example.org"})
    assert gone.status_code == 503
    assert "re_secret" not in api.server.log and code not in api.server.log
    await api.http.aclose()


async def test_expired_codes_do_not_count(start_server: StartServer) -> None:
    api = Api(await start_server(env={"HYPHA_VERIFICATION_CODE_TTL": "1"}))
    email = new_email()
    begun = await api.call("signup", name="Ann", email=email, password=PASSWORD)
    await asyncio.sleep(1.1)
    late = await api.call("verify_email", email=email, code=begun["dev_code"])
    assert late["error"].startswith("No pending verification for this email, or the code has expired")
    await api.http.aclose()


async def test_unproven_addresses_stay_out_of_tokens(api: Api) -> None:
    _, _, token = await api.account()
    assert (await api.call("profile", token))["email"] is None


async def test_the_first_start_makes_one_administrator(start_server: StartServer) -> None:
    server = await start_server()
    api = Api(server)
    link = re.findall(r"#administrator=(\w+)", server.log)[-1]
    person = {"name": "Root", "email": "root@example.org", "password": PASSWORD}
    guessed = await api.call("create_administrator", link="x" * 32, **person)
    assert guessed["success"] is False
    assert (await api.call("create_administrator", link=link, **person))["success"]
    again = await api.call("create_administrator", link=link, **{**person, "email": new_email()})
    assert again["success"] is False

    token = (await api.call("login", email=person["email"], password=PASSWORD))["token"]
    assert (await api.call("profile", token))["roles"] == ["admin"]
    narrowed = await api.call("login", email=person["email"], password=PASSWORD, workspace="public")
    assert (await api.call("profile", narrowed["token"]))["roles"] == []
    await asyncio.to_thread(server.restart)
    assert len(re.findall("#administrator=", server.log)) == 1, "there is an administrator already"
    assert (await api.call("login", email=person["email"], password=PASSWORD))["success"]
    await api.http.aclose()


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed(start_server: StartServer) -> None:
    server = await start_server(env={"HYPHA_SIGN_IN_ATTEMPTS_PER_ADDRESS": "0"})
    api = Api(server)
    made: list[str] = []
    waiting: dict[str, str] = {}

    async def sign_up(number: int) -> None:
        email = f"p{number}@example.org"
        begun = await api.call("signup", name="P", email=email, password=PASSWORD)
        waiting[email] = begun["dev_code"]
        await api.call("verify_email", email=email, code=begun["dev_code"])
        made.append(email)

    tasks = [asyncio.create_task(sign_up(number)) for number in range(24)]
    async with asyncio.timeout(20):
        while len(made) < 3:  # noqa: ASYNC110 (tasks)
            await asyncio.sleep(0.005)
    await asyncio.to_thread(server.kill)
    await asyncio.gather(*tasks, return_exceptions=True)
    done = list(made)
    await asyncio.to_thread(server.start)
    for email in done:
        assert (await api.call("login", email=email, password=PASSWORD))["success"], email
    for email in waiting.keys() - set(done):
        verified = await api.call("verify_email", email=email, code=waiting[email])
        signed = await api.call("login", email=email, password=PASSWORD)
        assert verified["success"] or signed["success"], email
    await api.http.aclose()


async def test_closed_sign_up_base_path_and_configured_origins(start_server: StartServer) -> None:
    server = await start_server(
        env={"HYPHA_ALLOW_SIGN_UP": "false"},
        flags=["--allow-origins=https://lab.example,*"],
        base_path="/my/hub",
    )
    api = Api(server)
    refused = await api.call("signup", name="Ann", email=new_email(), password=PASSWORD)
    assert refused["code"] == "permission_denied"

    target = {"redirect": "https://lab.example/next", "origin": "https://lab.example"}
    page = await api.http.get(f"{PAGE}/", params=target)
    assert page.status_code == 200 and "https://lab.example/next" in page.text
    assert "frame-ancestors 'self' https://lab.example" in page.headers["content-security-policy"]
    for wrong in ("https://lab.example.evil/", "https://lab.example@evil.example/", "http://lab.example/"):
        assert (await api.http.get(f"{PAGE}/", params={"redirect": wrong})).status_code == 400
    assert (await api.http.get(f"{PAGE}/login.js")).status_code == 200
    assert f'src="/my/hub{PAGE}/login.js"' in page.text

    link = re.findall(r"/my/hub/public/apps/hypha-login/#administrator=(\w+)", server.log)[-1]
    person = {"name": "Root", "email": "root@example.org", "password": PASSWORD}
    assert (await api.call("create_administrator", link=link, **person))["success"]
    token = (await api.call("login", email=person["email"], password=PASSWORD))["token"]
    assert (await api.post("session", authorization=f"Bearer {token}")).status_code == 200
    assert (await api.post("logout", authorization=f"Bearer {token}")).status_code == 200
    await api.http.aclose()


async def test_another_provider_replaces_the_default(start_server: StartServer) -> None:
    api = Api(await start_server(env={"AUTH0_DOMAIN": "tenant.example"}))
    answer = await api.http.post(f"{LOGIN}/signup", json={})
    assert answer.status_code == 404
    assert (await api.http.get(f"{PAGE}/session")).json()["local"] is False
    await api.http.aclose()
    both = Api(await start_server(env={"AUTH0_DOMAIN": "tenant.example"}, flags=["--enable-local-auth"]))
    await both.account()
    await both.http.aclose()
