"""Fixtures that several end-to-end files share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from hypha.testing import ServerProcess
from tests.conftest import Connect, make_person
from tests.e2e.chromium import Page
from tests.e2e.lab import Lab
from tests.e2e.visit import ONLY_HERE, Visit


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
