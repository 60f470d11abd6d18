"""What `doctor` says of providers."""

from __future__ import annotations

import json

import pytest

from hypha.findings import Grade
from tests.kit.doctor import bad

pytestmark = pytest.mark.usefixtures("doctor_folder")
PROVIDER = {"id": "uni", "discovery_url": "https://login.example/", "client_id": "c", "roles_claim": "roles"}


def test_what_is_not_understood_is_broken() -> None:
    (finding,) = bad(HYPHA_OIDC_PROVIDERS="{not json")
    assert finding.grade is Grade.BROKEN and "HYPHA_OIDC_PROVIDERS" in finding.text


@pytest.mark.parametrize(("role", "sentences"), [("boss", 0), ("", 1)])
def test_a_role_there_can_administer_the_server(role: str, sentences: int) -> None:
    provider = json.dumps({**PROVIDER, "admin_role": role})
    found = bad(HYPHA_ROOT_TOKEN="", HYPHA_OIDC_PROVIDERS=provider)
    assert ["nobody can administer" in each.text for each in found] == [True] * sentences
