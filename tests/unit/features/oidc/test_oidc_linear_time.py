"""Reading what providers claim is linear in its size."""

from __future__ import annotations

from hypha.features.oidc.claims import person_of
from hypha.features.oidc.providers import Provider
from tests.kit.linear_time import check_reader_of_texts

PROVIDER = Provider(id="p", name="P", client_id="client")


def test_claims_are_read_in_linear_time() -> None:
    check_reader_of_texts(lambda given: person_of(PROVIDER, {"sub": given, "email": given, "picture": given}))
