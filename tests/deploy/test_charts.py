"""The Helm charts, rendered by the real `helm` and held against the schemas of Kubernetes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.options import known_variables

ROOT = Path(__file__).resolve().parents[2]
CHARTS = ROOT / "helm-charts"
HELM = Path(sys.executable).parent / "helm"
OLDEST, NEWEST = "1.25", "1.34"
SHARED = (
    "redis.external=true", "database.external=true", "s3.external=true", "s3.endpointUrl=http://objects:8333",
)  # fmt: skip
EVERYTHING = (
    "autoscaling.enabled=true", "ingress.enabled=true", "k8sWorker.enabled=true",
    "networkPolicy.enabled=true", "serviceMonitor.enabled=true", "serverApps.enabled=true", "publicBaseUrl=https://hypha.example",
    "appsOrigin=https://apps.example", "trustedProxies=10.0.0.0/8", *SHARED,
)  # fmt: skip

pytestmark = pytest.mark.skipif(not HELM.exists(), reason="no helm for this machine")


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The charts with what they depend on."""
    folder = tmp_path_factory.mktemp("charts") / "helm-charts"
    shutil.copytree(CHARTS, folder)
    helm("dependency", "build", str(folder / "hypha-server-kit"))
    return folder


def helm(*words: str) -> str:
    done = subprocess.run([HELM, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(chart: Path, *settings: str) -> list[dict[str, Any]]:
    """What would be installed with these settings."""
    given = [word for setting in settings for word in ("--set", setting)]
    text = helm("template", "lab", str(chart), "--namespace", "hypha", *given)
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def pods_of(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet"):
            yield each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield each["spec"]


ALL = [
    ("hypha-server", ()), ("hypha-server", EVERYTHING), ("hypha-server", ("replicaCount=3", *SHARED)),
    ("hypha-server", ("persistence.enabled=false",)), ("redis", ()),
    ("hypha-server-kit", ("redis.enabled=true",)),
]  # fmt: skip


@pytest.mark.spec("apps-12.9.1")
@pytest.mark.parametrize(("chart", "settings"), ALL)
def test_what_charts_install_is_valid_and_safe(charts: Path, chart: str, settings: tuple[str, ...]) -> None:
    helm("lint", "--strict", str(charts / chart))
    objects = render(charts / chart, *settings)
    for each in objects:
        if each["kind"] != "ServiceMonitor":  # a kind of the Prometheus operator
            for version in (OLDEST, NEWEST):
                kubernetes_validate.validate(each, version, strict=True)
    for pod in pods_of(objects):
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["capabilities"] == {"drop": ["ALL"]}
    assert not [each for each in objects if each["kind"] == "Secret"], "secrets are never values"


@pytest.mark.spec("apps-12.9.1")
def test_probes_ask_the_port_of_the_container_and_options_are_known(charts: Path) -> None:
    objects = render(charts / "hypha-server", *EVERYTHING)
    deployment = of_kind(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    assert f"--port={port['containerPort']}" in container["command"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
    assert of_kind(objects, "Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    set_by_chart = {each["name"] for each in container["env"]}
    assert {"HYPHA_JWT_SECRET", "HYPHA_REDIS_URI", "HYPHA_ENDPOINT_URL"} <= set_by_chart
    assert {name for name in set_by_chart if name.startswith("HYPHA_")} <= known_variables()
    for each in container["env"]:
        if re.search("SECRET|TOKEN|KEY|_URI", each["name"]):
            assert "secretKeyRef" in each["valueFrom"], each["name"]


@pytest.mark.spec("apps-12.9.1")
def test_the_worker_of_pods_may_do_what_it_needs_and_only_where_it_is_on(charts: Path) -> None:
    rules = of_kind(render(charts / "hypha-server", "k8sWorker.enabled=true"), "Role")["rules"]
    rights = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert {("pods", "create"), ("pods", "delete"), ("pods/log", "get"), ("pods/exec", "create")} <= rights
    assert not {each for each in rights if "secrets" in each[0] or "*" in each}
    plain = render(charts / "hypha-server")
    assert not [each for each in plain if each["kind"] in ("Role", "RoleBinding")]
    assert of_kind(plain, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_one_server_keeps_its_volume_and_is_never_there_twice(charts: Path) -> None:
    objects = render(charts / "hypha-server")
    assert of_kind(objects, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    claim = of_kind(objects, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"


def test_several_replicas_are_spread_drained_and_refused_where_they_share_nothing(charts: Path) -> None:
    objects = render(charts / "hypha-server", "replicaCount=3", *SHARED)
    spec = of_kind(objects, "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    pod = spec["template"]["spec"]
    assert pod["topologySpreadConstraints"]
    assert pod["containers"][0]["lifecycle"]["preStop"]
    assert of_kind(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    names = {each["name"]: each for each in pod["containers"][0]["env"]}
    assert names["HYPHA_SERVER_ID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid"
    done = subprocess.run(
        [HELM, "template", "lab", str(charts / "hypha-server"), "--set", "replicaCount=2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Several replicas share nothing yet" in done.stderr


def test_the_kit_brings_its_parts_together(charts: Path) -> None:
    objects = render(charts / "hypha-server-kit", "redis.enabled=true")
    services = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Service"}
    assert {"hypha-server", "hypha-postgres", "hypha-objects", "hypha-redis"} <= set(services)
    env = {
        e["name"]: e
        for e in of_kind(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert env["HYPHA_ENDPOINT_URL"]["value"] == "http://hypha-objects:8333"
    assert env["HYPHA_DATABASE_URI"]["valueFrom"]["secretKeyRef"]["key"] == "database-uri"
    note = of_kind(objects, "Ingress")["metadata"]["annotations"]
    assert note["nginx.ingress.kubernetes.io/proxy-body-size"] == "8192m"
    assert note["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "3600"


def test_secrets_are_made_once_and_stand_in_no_list_of_processes(tmp_path: Path) -> None:
    """The script runs against a `kubectl` that keeps what it is given."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        '#!/bin/sh\necho "$@" >> "$KEPT/calls"\n'
        'case "$3" in get) test -e "$KEPT/$5" ;;\n'
        'create) cat > "$KEPT/new"; name=$(sed -n "s/^  name: //p" "$KEPT/new")\n'
        'mv "$KEPT/new" "$KEPT/$name" ;;\nesac\n'
    )
    kubectl.chmod(0o755)
    line = ["sh", str(CHARTS / "hypha-server-kit" / "make-secrets.sh"), "hypha"]
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "KEPT": str(tmp_path)}
    for _ in range(2):
        subprocess.run(line, env=env, check=True)
    made = yaml.safe_load((tmp_path / "hypha-secrets").read_text())["stringData"]
    password = yaml.safe_load((tmp_path / "hypha-postgres").read_text())["stringData"]["password"]
    assert f":{password}@hypha-postgres:5432/" in made["database-uri"]
    assert len(made["jwt-secret"]) == 64 and len(made["root-token"]) == 64
    calls = (tmp_path / "calls").read_text()
    assert calls.count("create") == 3
    assert password not in calls and made["jwt-secret"] not in calls
