"""Reading bodies up to a bound."""

from __future__ import annotations

import pytest
from starlette.types import Message

from hypha.errors import FrameTooLarge, LimitReached
from hypha.web.bodies import ClientLeft, read_whole
from hypha.web.uploads import PART_BYTES, Uploads
from tests.kit.uploads import person


class Sender:
    """Sends a body in parts; with `leaves` it hangs up instead of sending the last one."""

    def __init__(self, *parts: bytes, leaves: bool = False) -> None:
        self._parts = list(parts)
        self._leaves = leaves

    async def __call__(self) -> Message:
        if self._leaves and len(self._parts) == 1:
            return {"type": "http.disconnect"}
        part = self._parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self._parts)}


@pytest.mark.parametrize("parts", [(b"",), (b"abcd",), (b"ab", b"cd"), (b"", b"ab", b"", b"cd", b"")])
async def test_a_body_is_read_whole(parts: tuple[bytes, ...]) -> None:
    assert await read_whole(Sender(*parts), 4) == b"".join(parts)


@pytest.mark.parametrize("parts", [(b"abcde",), (b"ab", b"cde", b""), (b"abcde", b"f")])
async def test_a_larger_one_is_refused_as_soon_as_it_is_one(parts: tuple[bytes, ...]) -> None:
    sender = Sender(*parts)
    with pytest.raises(FrameTooLarge, match="larger than the limit of 4 bytes"):
        await read_whole(sender, 4)
    assert len(sender._parts) <= 1, "nothing more is read"
    with pytest.raises(FrameTooLarge, match=r"^A frame is too large\.$"):
        await read_whole(Sender(*parts), 4, "A frame is too large.")


async def test_nobody_is_told_who_has_left() -> None:
    with pytest.raises(ClientLeft):
        await read_whole(Sender(b"ab", b"cd", leaves=True), 4)


async def test_parts_count_where_unfinished_bodies_are_counted() -> None:
    uploads = Uploads(3 * PART_BYTES, 3 * PART_BYTES, 1024.0, 20.0)
    upload = uploads.of(Sender(b"ab", b"cd", b"e"), person("a"))
    with pytest.raises(LimitReached):
        await read_whole(upload, 100)
    whole = uploads.of(Sender(bytes(100)), person("b"))
    assert len(await read_whole(whole, 100)) == 100 and uploads.account.used_by(person("b")) == 0
