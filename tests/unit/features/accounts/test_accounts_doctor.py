"""What `doctor` says of accounts, and how it finds an administrator's."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert

from hypha.features.accounts.records import has_admin
from hypha.features.accounts.tables import AccountRow
from hypha.findings import Grade
from hypha.store import Store
from hypha.store.looking import look_into_file
from tests.kit.doctor import bad, state_of

pytestmark = pytest.mark.usefixtures("doctor_folder")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"HYPHA_SIGN_UP": "open"}, "anybody may make an account"),
        ({"HYPHA_SMTP_HOST": ""}, "no e-mail is sent"),
        ({"HYPHA_SMTP_SECURITY": "none"}, "HYPHA_SMTP_SECURITY none"),
        ({"HYPHA_LETTERS_PER_HOUR": "0"}, "HYPHA_LETTERS_PER_HOUR is 0"),
        ({"HYPHA_SIGN_IN_ATTEMPTS": "0"}, "HYPHA_SIGN_IN_ATTEMPTS is 0"),
        ({"HYPHA_SIGN_IN_ATTEMPTS_PER_ADDRESS": "0"}, "HYPHA_SIGN_IN_ATTEMPTS_PER_ADDRESS is 0"),
    ],
)
def test_each_risk_is_told_alone(environment: dict[str, str], sentence: str) -> None:
    (finding,) = bad(**environment)
    assert finding.grade is Grade.RISKY and sentence in finding.text


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"HYPHA_SIGN_UP": "friends"}, "HYPHA_SIGN_UP"),
        ({"HYPHA_SIGN_UP_DOMAINS": "uni.example", "HYPHA_SMTP_HOST": ""}, "HYPHA_SIGN_UP_DOMAINS"),
        ({"HYPHA_SMTP_SECURITY": "ssl"}, "HYPHA_SMTP_SECURITY"),
        ({"HYPHA_VERIFICATION_FROM_EMAIL": "nobody"}, "HYPHA_VERIFICATION_FROM_EMAIL"),
    ],
)
def test_what_would_not_start_or_work_is_broken(environment: dict[str, str], sentence: str) -> None:
    assert [each.grade for each in bad(**environment) if sentence in each.text] == [Grade.BROKEN]


def test_without_accounts_nothing_is_said_of_them() -> None:
    assert bad(HYPHA_SIGN_UP="open", HYPHA_SMTP_HOST="", AUTH0_DOMAIN="lab.eu.auth0.com") == []


@pytest.mark.parametrize("is_admin", [True, False])
async def test_an_administrators_account_is_found_without_a_change(
    doctor_folder: Path, is_admin: bool
) -> None:
    folder = doctor_folder
    file = folder / "hub 1?.sqlite"
    store = await Store(f"sqlite+aiosqlite:///{folder}/made.sqlite").open()
    row = {"id": "local-ann", "email": "a@b.example", "folded": "a@b.example", "name": "Ann", "password": "x"}
    async with store.writing() as connection:
        await connection.execute(
            insert(AccountRow).values(**row, is_proven=True, is_admin=is_admin, created_at=0.0)
        )
    assert look_into_file(folder / "made.sqlite", has_admin) is is_admin  # while a server has it open
    await store.close()
    (folder / "made.sqlite").rename(file)
    before = state_of(folder)
    assert look_into_file(file, has_admin) is is_admin
    assert state_of(folder) == before
