"""The dashboard and the alerts name metrics that the server has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
import yaml

from hypha.testing import ServerProcess

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
METRIC = re.compile(r"\b((?:hypha|process|websocket|rpc|client)_[a-z_]+)\b")


@pytest.fixture(scope="module")
def expressions() -> list[str]:
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    alerts = [rule["expr"] for group in rules for rule in group["rules"]]
    assert shown and alerts
    return shown + alerts


async def test_every_metric_of_dashboard_and_alerts_is_there(
    server: ServerProcess, expressions: list[str]
) -> None:
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"{server.url}/metrics")).text
    there = set(re.findall(r"^([a-z_]+)(?:\{| )", text, re.MULTILINE))
    named = {name for expression in expressions for name in METRIC.findall(expression)}
    assert len(named) > 10
    assert named <= there
