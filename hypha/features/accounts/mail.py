"""E-mail: by SMTP, or by the HTTP interface of Resend; in a worker thread, with a deadline."""

from __future__ import annotations

import asyncio
import json
import logging
import smtplib
import ssl
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import formatdate, make_msgid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hypha.errors import BackendUnavailable, ConfigurationError

if TYPE_CHECKING:
    from hypha.features.accounts.options import AccountOptions

logger = logging.getLogger(__name__)

TIMEOUT_S = 15.0
MOST_WAITING = 100
MAX_ANSWER_BYTES = 64 * 1024
_SIDE_BY_SIDE = 4
Deliver = Callable[["Letter"], None]


@dataclass(frozen=True, slots=True)
class Letter:
    """One e-mail in plain text."""

    to: str
    subject: str
    text: str


class Mail:
    """Sends letters through what was configured, in threads of its own: a mail server that does not
    answer takes those of nobody else.

    Raises:
        BackendUnavailable: from `send`, when the letter was not taken, or too many wait.
    """

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._threads = ThreadPoolExecutor(_SIDE_BY_SIDE, "mail")
        self._waiting = 0

    async def send(self, letter: Letter) -> None:
        """Hand a letter over; returns when the mail server took it."""
        if self._waiting >= MOST_WAITING:
            raise BackendUnavailable("Too many e-mails are waiting to be sent. Please try again later.")
        self._waiting += 1
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._deliver, letter)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            logger.warning("An e-mail could not be sent: %s", type(error).__name__)
            raise BackendUnavailable(
                "The e-mail could not be sent. Please check the address or try again later."
            ) from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let the threads go; letters that wait are dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def mail_of(options: AccountOptions) -> Mail | None:
    """The way e-mail goes with these settings; None if there is none."""
    if options.smtp_host:
        return Mail(SmtpDelivery.of(options))
    if options.resend_api_key:
        return Mail(ResendDelivery.of(options))
    return None


def _sender(options: AccountOptions) -> str:
    sender = options.verification_from_email or options.smtp_user
    if not sender or "@" not in sender or any(char in sender for char in "\r\n"):
        raise ConfigurationError(
            "E-mail needs a sender: set HYPHA_VERIFICATION_FROM_EMAIL to an address such as hypha@example.org"
        )
    return sender


@dataclass(frozen=True, slots=True)
class SmtpDelivery:
    """One SMTP conversation per letter.

    `security` is `starttls` (the connection is encrypted before anything is said; refused if the
    server can't), `tls` (encrypted from the start) or `none`.
    """

    host: str
    port: int
    sender: str
    security: str = "starttls"
    user: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, options: AccountOptions) -> SmtpDelivery:
        """As the settings say."""
        return cls(
            options.smtp_host or "",
            options.smtp_port,
            _sender(options),
            options.smtp_security,
            options.smtp_user,
            options.smtp_password,
        )

    def __call__(self, letter: Letter) -> None:
        message = _message(letter, self.sender)
        with self._connect() as connection:
            if self.security == "starttls":
                connection.starttls(context=ssl.create_default_context())
            if self.user:
                connection.login(self.user, self.password or "")
            connection.send_message(message)

    def _connect(self) -> smtplib.SMTP:
        if self.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class ResendDelivery:
    """One HTTP request per letter; `url` is where letters are posted."""

    url: str
    api_key: str
    sender: str

    @classmethod
    def of(cls, options: AccountOptions) -> ResendDelivery:
        """As the settings say."""
        base = options.resend_api_url.rstrip("/")
        if urlsplit(base).scheme not in ("https", "http"):
            raise ConfigurationError("RESEND_API_URL must be an address such as https://api.resend.com")
        return cls(f"{base}/emails", options.resend_api_key or "", _sender(options))

    def __call__(self, letter: Letter) -> None:
        body = {"from": self.sender, "to": [letter.to], "subject": letter.subject, "text": letter.text}
        request = urllib.request.Request(
            self.url,
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"},
        )
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            answer.read(MAX_ANSWER_BYTES)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is a failure: followed, it would carry the key elsewhere and lose the letter."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _message(letter: Letter, sender: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP if letter.to.isascii() else SMTPUTF8)
    message["From"] = sender
    message["To"] = letter.to
    message["Subject"] = letter.subject
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = make_msgid(domain=sender.strip("<> ").rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message
