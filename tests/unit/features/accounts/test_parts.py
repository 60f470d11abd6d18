"""Names, passwords, codes and throttling of local accounts."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from hypha.addresses import fold_email
from hypha.errors import InvalidArguments, PermissionDenied, RateLimited
from hypha.features.accounts.codes import FIRST_ADMIN, INVITATION_MARK, RESET, SIGN_UP, Codes, code_in
from hypha.features.accounts.invitations import Admittance
from hypha.features.accounts.names import check_email, check_name
from hypha.features.accounts.options import AccountOptions
from hypha.features.accounts.passwords import Passwords, check_new_password, check_password
from hypha.features.accounts.throttle import Allowance, Throttle
from tests.kit.clock import Clock


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("https://hub.example/login/#invitation=Abc", "Abc"), ("Abc", "Abc"), (" A b\nc ", "Abc"),
        (f"https://hub.example/{'x' * 300}#invitation=Abc", "Abc"), ("#invitation=", ""),
        ("x" * 201, ""), (f"{'x' * 3000}#invitation=Abc", ""), (None, ""), (5, ""), (b"Abc", ""),
    ],
)  # fmt: skip
def test_a_code_is_found_in_what_people_paste(typed: object, code: str) -> None:
    assert code_in(typed, INVITATION_MARK) == code


@pytest.mark.parametrize("name", ["Ann Lee", "  孔子 ", "यशोदा", "محمد", "👩‍🔬 Ada", "x" * 100])
def test_names_of_every_script_are_taken(name: str) -> None:
    assert check_name(name) == name.strip()


@pytest.mark.parametrize(
    ("typed", "kept"), [("Zoe\u0308", "Zo\u00eb"), ("\u1112\u1161\u11ab", "\ud55c"), ("\u212bsa", "\u00c5sa")]
)
def test_names_are_kept_in_normal_form(typed: str, kept: str) -> None:
    assert check_name(typed) == kept


@pytest.mark.parametrize(
    "name",
    [
        "", "   ", "a\x00b", "a\nb", "\u202egnp", "a\u2028b", "\u0301", "x" * 101, "\ud800", None, 5,
        "\u2066Ann\u2069", "An\u00adn", "Ann\u200b", "\ufeffAnn", "\u200d", "\u061cAnn", "\U000e0041Ann",
        "\u3164", "\u2800", "A\u115fnn", "\uffa0", "An\u034fn", "\ue000", "\U0010ffff",
    ],
)  # fmt: skip
def test_names_with_control_characters_are_refused(name: object) -> None:
    with pytest.raises(InvalidArguments):
        check_name(name)


@pytest.mark.parametrize("email", ["Ann+tag@Sub.Example.org", "müller@exämple.de", "用户@例子.中国"])
def test_addresses_are_taken_as_they_are(email: str) -> None:
    assert check_email(f" {email} ") == email


@pytest.mark.parametrize(
    "email",
    [
        "", "a", "@b", "a@", "a@@b", "a b@c", "a@b\nBcc: x@y", "a@b,c@d", "<a@b>", "a@b..c", "a@.b",
        "\uff41@b.org", "a@\uff42.org", "a\u200b@b.org", f"{'a' * 65}@b.org", f"a@{'b' * 300}", None, "a@b.",
        "a\u202e@b.org", "a\u034fb@c.org", "a\u3164@b.org", "a@b\u3002org", "a@b\uff0eorg", "\u017fa@b.org",
        "\ufb01@b.org", "a@b.org/x", "a%40c@b.org?x", "a@b#c", "\ue000@b.org", "a@\u00adb.org",
    ],
)  # fmt: skip
def test_addresses_that_could_be_another_are_refused(email: object) -> None:
    with pytest.raises(InvalidArguments):
        check_email(email)


def test_addresses_compare_without_case() -> None:
    for one, other in (
        ("Ann@Example.ORG", "ann@example.org"), ("МАША@Пример.рф", "маша@пример.рф"),
        ("ΟΔΟΣ@x.gr", "οδος@x.gr"), ("ΟΔΟΣ@x.gr", "οδοσ@x.gr"), ("Zoe\u0308@x.org", "zo\u00eb@x.org"),
    ):  # fmt: skip
        assert fold_email(one) == fold_email(other)


def test_addresses_that_only_look_alike_stay_apart() -> None:
    looks = [
        "apple@x.org",
        "\u0430pple@x.org",
        "app\u04cfe@x.org",
        "straße@x.org",
        "strasse@x.org",
        "a@x.org",
        "a@straße.org",
        "a@strasse.org",
        "a@ος.gr",
        "a@οσ.gr",
    ]
    looks += ["ı@x.org", "i@x.org", "a+b@x.org", "a.b@x.org", "ab@x.org"]
    assert len({fold_email(check_email(each)) for each in looks}) == len(looks)


def test_domains_that_only_look_alike_do_not_let_people_in() -> None:
    allowed = AccountOptions(sign_up_domains="strasse.example, *.οσ.example, Größe.example")
    admittance = Admittance(None, allowed, Codes("secret"))
    for email in ("a@STRASSE.example", "a@x.οσ.example", "a@größe.EXAMPLE"):
        admittance.check_domain(email)
    for email in ("a@straße.example", "a@x.ος.example", "a@grösse.example", "a@strasse.example.org"):
        with pytest.raises(PermissionDenied):
            admittance.check_domain(email)


async def test_only_the_right_password_matches() -> None:
    passwords = Passwords(time_cost=1, memory_kib=64)
    kept = await passwords.hash("correct horse")
    assert kept.startswith("$argon2id$") and "correct" not in kept
    assert await passwords.matches(kept, "correct horse")
    assert not await passwords.matches(kept, "Correct horse")
    assert not await passwords.matches(None, "nobody's password")
    assert not await passwords.matches("damaged", "correct horse")
    assert kept != await passwords.hash("correct horse")


async def test_whoever_gives_up_has_not_more_passwords_looked_at_than_others() -> None:
    passwords = Passwords(time_cost=1, memory_kib=64)
    held, begun = threading.Event(), list[str]()

    def hold(password: str) -> str:
        begun.append(password)
        held.wait(20)
        return "hash"

    passwords._hasher = SimpleNamespace(hash=hold)  # type: ignore[assignment]
    for number in range(3):
        given_up = asyncio.ensure_future(passwords.hash(f"password {number}", "one place"))
        await asyncio.sleep(0.01)
        given_up.cancel()
    other = asyncio.ensure_future(passwords.hash("other", "another place"))
    await asyncio.sleep(0)
    held.set()
    assert await other == "hash"
    assert sorted(begun) == ["other", "password 0"]
    passwords.close()


def test_passwords_are_bounded_before_anything_is_done_with_them() -> None:
    assert check_password("x" * 1024)
    assert check_new_password("e\u0301" * 8) == "\u00e9" * 8
    for wrong in ("x" * 1025, "x" * 2**20, "ü" * 513, "\ud800" * 8, None, 12345678):
        with pytest.raises(InvalidArguments):
            check_password(wrong)
    with pytest.raises(InvalidArguments, match="Password must be at least 8 characters"):
        check_new_password("seven77")


def test_codes_are_kept_as_hashes_for_one_purpose() -> None:
    codes = Codes("secret", lambda: 100.0)
    text, code = codes.make(SIGN_UP, "a@b.org", 60.0, {})
    assert len(text) == 6 and text.isdigit() and text not in code.code_hash
    assert code.expires_at == 160.0
    assert codes.fits(code, text) and codes.fits(code, f" {text[:3]} {text[3:]} ")
    for wrong in (f"{(int(text) + 1) % 10**6:06d}", "", None, 5, "9" * 10_000):
        assert not codes.fits(code, wrong)
    assert codes.hash(RESET, "a@b.org", text) != code.code_hash
    assert Codes("other").hash(SIGN_UP, "a@b.org", text) != code.code_hash
    assert (
        len(codes.make(RESET, "a", 1.0, {})[0]) == 12 and len(codes.make(FIRST_ADMIN, "", 1.0, {})[0]) == 32
    )


def test_attempts_come_back_with_time() -> None:
    clock = Clock(0.0)
    throttle = Throttle(clock=clock)
    few = [("a", Allowance(3, 30.0))]
    for _ in range(3):
        throttle.take(few)
    with pytest.raises(RateLimited) as refusal:
        throttle.take(few)
    assert refusal.value.retry_after_s == 10
    clock.now = 10.0
    throttle.take(few)
    with pytest.raises(RateLimited):
        throttle.take(few)


def test_a_refused_attempt_takes_from_nobody() -> None:
    throttle = Throttle(clock=Clock())
    throttle.take([("a", Allowance(1, 9.0))])
    with pytest.raises(RateLimited):
        throttle.take([("b", Allowance(1, 9.0)), ("a", Allowance(1, 9.0))])
    throttle.take([("b", Allowance(1, 9.0))])
    with pytest.raises(RateLimited):
        throttle.take([("b", Allowance(1, 9.0))])


def test_honest_attempts_are_given_back() -> None:
    throttle = Throttle(clock=Clock())
    for _ in range(5):
        throttle.take([("a", Allowance(1, 9.0))])
        throttle.give_back(["a"])
    throttle.take([("a", Allowance(1, 9.0))])
    with pytest.raises(RateLimited):
        throttle.take([("a", Allowance(1, 9.0))])


def test_memory_is_bounded() -> None:
    throttle = Throttle(clock=Clock(), max_keys=10)
    for number in range(100):
        throttle.take([(str(number), Allowance(1, 9.0))])
    assert len(throttle) == 10
