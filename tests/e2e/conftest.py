"""Fixtures that several end-to-end files share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller

from hypha.testing import ServerProcess
from hypha.testing.server import free_port
from tests.e2e.accounts_lab import Mailbox
from tests.e2e.chromium import Page
from tests.e2e.lab import Lab
from tests.e2e.visit import ONLY_HERE, Visit
from tests.kit.clients import Connect
from tests.kit.people import make_person


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(module_connect: Connect, server: ServerProcess) -> Lab:
    """The shared provider, consumer and stranger."""
    owner = make_person(server, "lab")
    clients = [
        await module_connect(owner, client_id="provider"),
        await module_connect(owner, client_id="consumer"),
        await module_connect(make_person(server, "stranger"), client_id="stranger"),
    ]
    lab = Lab(*clients)
    await lab.register()
    return lab


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page() -> AsyncIterator[Page]:
    """A browser that a module's tests share."""
    async with Page() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def visit(server: ServerProcess) -> AsyncIterator[Visit]:
    async with Page(ONLY_HERE) as page:
        await page.command("Page.enable")
        yield Visit(page, server)


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, Controller]]:
    """A mail server of a test's own, and what it got."""
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True)
    controller.start()
    try:
        yield box, controller
    finally:
        controller.stop()
