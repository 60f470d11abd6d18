"""The one sanitiser of paths lets nothing climb, hide or break."""

from __future__ import annotations

import pytest

from hypha.errors import InvalidKey
from hypha.objects.keys import check_bucket, check_key, check_prefix, names_of, word_of

BAD = [
    "", "/", "/a", "a/", "a//b", "..", ".", "../a", "a/..", "a/../b", "a/./b", "a\\b", "..\\a", "a\0b",
    "a\nb", "\x7f", "a/" + "b" * 241, "%" * 81, "x/" * 512 + "x", "ä" * 121, "a\ud800", None, 1, b"a", ["a"],
]  # fmt: skip
GOOD = [
    "a",
    "a/b.txt",
    ".hidden",
    "...",
    "a b/ü/日本",
    "a%2fb",
    "%2e%2e",
    "c" * 240,
    "a:b",
    "~",
    "-",
    "*?",
    "CON",
]


@pytest.mark.parametrize("key", BAD)
@pytest.mark.spec("artifacts-W1")
def test_what_climbs_hides_or_is_too_long_is_refused(key: object) -> None:
    with pytest.raises(InvalidKey):
        check_key(key)


@pytest.mark.parametrize("key", GOOD)
def test_every_other_name_is_a_key_and_comes_back_from_disk(key: str) -> None:
    assert check_key(key) == key
    assert "/".join(word_of(name)[0] for name in names_of(key)) == key
    assert not any(word_of(name)[1] for name in names_of(key))


def test_no_key_is_written_as_the_object_beside_a_folder() -> None:
    assert names_of("a%+") == ["a%25+"]
    assert word_of("a%+") == ("a", True)


@pytest.mark.parametrize(
    ("given", "prefix"), [("", ""), ("/", ""), ("a", "a"), ("a/", "a/"), ("a/b/", "a/b/")]
)
def test_a_prefix_is_a_key_or_a_folder(given: str, prefix: str) -> None:
    assert check_prefix(given) == prefix


@pytest.mark.parametrize("prefix", ["//", "/a", "a//", "../", "a/../", None])
def test_other_prefixes_are_refused(prefix: object) -> None:
    with pytest.raises(InvalidKey):
        check_prefix(prefix)


@pytest.mark.parametrize("name", ["", "ab", "A" * 5, "a..b", "-ab", "a/b", ".drafts", "x" * 64, None])
def test_a_bucket_has_a_name_by_the_rules_of_s3(name: object) -> None:
    with pytest.raises(InvalidKey):
        check_bucket(name)
    assert check_bucket("hypha-workspaces") == "hypha-workspaces"
