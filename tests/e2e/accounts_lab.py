"""A server's local accounts, as its tests use them; a mail server that keeps its letters."""

from __future__ import annotations

import asyncio
import re
import uuid
from typing import Any

import httpx
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from hypha.testing import ServerProcess

PASSWORD = "correct horse battery"
LOGIN = "/public/services/hypha-login"
PAGE = "/public/apps/hypha-login"


def new_email() -> str:
    return f"ann-{uuid.uuid4().hex[:10]}@example.org"


class Api:
    """Calls functions of `hypha-login` over HTTP."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.http = httpx.AsyncClient(base_url=server.url, timeout=20)

    async def call(self, function: str, token: str = "", **arguments: Any) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await self.http.post(f"{LOGIN}/{function}", json=arguments, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.http.post(f"{PAGE}/{path}", json=body or {}, headers=headers)

    async def account(self, email: str | None = None, name: str = "Ann") -> tuple[str, str, str]:
        """A new account: (email, user id, token)."""
        email = email or new_email()
        begun = await self.call("signup", name=name, email=email, password=PASSWORD)
        assert begun["success"], begun
        made = await self.call("verify_email", email=email, code=begun["dev_code"])
        signed = await self.call("login", email=email, password=PASSWORD)
        return email, made["user_id"], signed["token"]


class Mailbox:
    """A real SMTP server that keeps what it gets."""

    def __init__(self) -> None:
        self.letters: list[Envelope] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.letters.append(envelope)
        return "250 OK"

    async def letter(self, number: int) -> tuple[str, str]:
        """Recipient and text of one letter, once it is there."""
        async with asyncio.timeout(10):
            while len(self.letters) <= number:  # noqa: ASYNC110 (another thread)
                await asyncio.sleep(0.02)
        found = self.letters[number]
        assert isinstance(found.content, bytes)
        return found.rcpt_tos[0], found.content.decode()


def mail_settings(controller: Controller, **more: str) -> dict[str, str]:
    return {
        "HYPHA_SMTP_HOST": "127.0.0.1",
        "HYPHA_SMTP_PORT": str(controller.port),
        "HYPHA_SMTP_SECURITY": "none",
        "HYPHA_VERIFICATION_FROM_EMAIL": "Hypha <hypha@example.org>",
        **more,
    }


def code_in(letter: str) -> str:
    """The code of a letter of any kind."""
    text = letter.replace("\r", "")
    found = re.search(r"code is (\d{6})", text) or re.search(r"^ {4}(\S+)", text, re.M)
    assert found is not None, letter
    return found[1]
