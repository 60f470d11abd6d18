"""docs/http.md: its addresses answer as the page says."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from hypha.gateways.http.errors import status_of
from hypha.testing import ServerProcess
from tests.docs.pages import ROOT, code_in, section, tables

TEXT = (ROOT / "docs" / "http.md").read_text()
EXAMPLE = {
    "<workspace>": "public", "<service>": "desk", "/ws/<function>": "/ws/list_services", "<template>": "code",
}  # fmt: skip
ADDRESSES = [
    (address, int(status))
    for cells, _, status in next(tables(section(TEXT, "addresses"))).rows
    for address in code_in(cells)
]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Shows where an address leads instead of going there."""

    def redirect_request(self, *_: Any) -> None:
        return None


DESK = """
async def answer(event=None):
    return {"status": 200, "body": "here"}


async def register(server):
    config = {"visibility": "public"}
    functions = {"index": answer, "start": answer}
    await server.register_service({"id": "desk", "type": "functions", "config": config, **functions})
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a service whose functions answer web requests, whatever features there are."""
    file = tmp_path_factory.mktemp("startup") / "desk.py"
    file.write_text(DESK)
    running = ServerProcess(flags=[f"--startup-functions={file}:register"])
    try:
        yield running.start().url
    finally:
        running.close()


def answered(url: str) -> int:
    """The status of a GET without a credential."""
    try:
        with urllib.request.build_opener(NoRedirect).open(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.parametrize(("address", "status"), ADDRESSES)
def test_addresses_answer_as_the_page_says(address: str, status: int, url: str) -> None:
    for word, example in EXAMPLE.items():
        address = address.replace(word, example)
    address = address.replace("<function>", "start").replace("…", "" if "apps" in address else "x")
    assert answered(url + address) == status


def test_refusals_of_the_libraries_are_known_by_their_words() -> None:
    said = [text for text in code_in(section(TEXT, "errors")) if text.endswith("…") and text[0].isupper()]
    assert [status_of("", text) for text in said] == [403, 404, 404, 404, 404]
    assert status_of("", "I found: Permission denied for you") == 500
