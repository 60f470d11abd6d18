"""The compose file: its variables are options, its secrets come from outside, its parts are awaited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.options import known_variables

FOLDER = Path(__file__).resolve().parents[2] / "docker-compose"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return loaded


@pytest.mark.spec("apps-12.9.3")
def test_every_variable_of_the_server_is_a_known_option(compose: dict[str, Any]) -> None:
    given = compose["services"]["hypha-server"]["environment"]
    assert {name for name in given if name.startswith("HYPHA_")} <= known_variables()


def test_secrets_come_from_the_file_that_is_filled_in(compose: dict[str, Any]) -> None:
    text = (FOLDER / "compose.yaml").read_text()
    wanted = set(re.findall(r"\$\{([A-Z0-9_]+)", text))
    example = (FOLDER / "env.example").read_text()
    assert wanted == set(re.findall(r"^([A-Z0-9_]+)=", example, re.MULTILINE))
    assert set(re.findall(r"\$\{[A-Z0-9_]+\}", text)) == set(), "a missing value must be said: ${NAME:?…}"
    filled = dict(re.findall(r"^([A-Z0-9_]+)=(.+)$", example, re.MULTILINE))
    assert not [name for name in filled if re.search("SECRET|TOKEN|PASSWORD", name)]


def test_the_server_waits_for_what_it_needs_and_nothing_inside_is_reachable(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in services["hypha-server"]["depends_on"]:
        assert services[name]["healthcheck"]["test"], name
    assert [name for name, each in services.items() if "ports" in each] == ["proxy"]
    for name in ("postgres", "objects"):
        assert services[name]["networks"] == ["inside"]
    assert compose["networks"]["inside"]["internal"] is True
    assert (
        services["hypha-server"]["environment"]["HYPHA_TRUSTED_PROXIES"]
        == (services["proxy"]["networks"]["outside"]["ipv4_address"])
    )


def test_every_volume_is_declared_and_every_image_has_a_version(compose: dict[str, Any]) -> None:
    for name, each in compose["services"].items():
        for volume in each.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (FOLDER / source).exists(), volume
        if "build" not in each:
            assert ":" in each["image"] and not each["image"].endswith(":latest"), name
