"""Apps as pods: what a cluster is asked for, with an API server that is a fake."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hypha.errors import InvalidArguments, PermissionDenied
from hypha.testing import eventually, free_port
from hypha.workers.base import SessionStatus, WorkerError, WorkerNotAvailableError
from hypha.workers.k8s.cluster import Cluster, find_cluster
from hypha.workers.k8s.engine import PodLimits
from hypha.workers.k8s.worker import K8sWorker, hypha_startup
from tests.kit.fake_engines import ELSEWHERE, HERE, ID, READER, served
from tests.kit.fake_k8s import TOKEN, FakeK8s

STAYS = ["sh", "-c", "echo hello $HYPHA_APP_ID $GREETING; exec sleep 600"]


@pytest.fixture
def url() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
async def cluster(url: str) -> AsyncIterator[FakeK8s]:
    cluster = FakeK8s()
    async with served(cluster.app(), port=int(url.rpartition(":")[2])):
        yield cluster
        await cluster.end()


@pytest.fixture
async def worker(cluster: FakeK8s, url: str) -> AsyncIterator[K8sWorker]:
    limits = PodLimits(memory_mb=512, cpus=0.5, scratch_mb=16)
    made = K8sWorker(Cluster(url=url, namespace="lab", token=TOKEN), limits=limits, look_s=0.02)
    await made._engine.prepare()
    yield made
    await made.shutdown()


def config_of(command: list[str] | None = STAYS, number: int = 1, **fields: Any) -> dict[str, Any]:
    manifest = {"type": "k8s-pod", "image": "python:3", "command": command, **fields}
    client_id = f"_rapp_{number}__rlb"
    return {
        "id": f"w/{client_id}", "app_id": "app", "workspace": "w", "client_id": client_id,
        "server_url": "https://hypha.example", "token": "token-of-the-session", "artifact_id": "w/app",
        "manifest": {name: value for name, value in manifest.items() if value is not None},
    }  # fmt: skip


async def logged(worker: K8sWorker, last: str) -> str:
    async with asyncio.timeout(20):
        while True:
            page = await worker.get_logs(ID, "stdout")
            text = "".join(item["content"] for item in page["items"])
            if text.endswith(last):
                return text
            await asyncio.sleep(0.02)


@pytest.mark.spec("apps-12.4.6")
async def test_a_pod_is_made_without_rights_read_and_deleted(worker: K8sWorker, cluster: FakeK8s) -> None:
    await worker.start(config_of(env={"GREETING": "you", "HYPHA_TOKEN": "own"}, timeout=120))
    ((name, pod),) = cluster.pods.items()
    assert name.startswith("hypha-pod-w-rapp-1-rlb-") and len(name) <= 60
    spec, container = pod.asked["spec"], pod.container
    assert container["name"] == "main" and container["imagePullPolicy"] == "IfNotPresent"
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("Never", 120)
    inside = spec["securityContext"]
    assert inside["runAsNonRoot"] is True and inside["runAsUser"] == 1000
    assert inside["seccompProfile"] == {"type": "RuntimeDefault"}
    rights = container["securityContext"]
    assert rights["capabilities"] == {"drop": ["ALL"]} and rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is rights["privileged"] is False
    assert spec["automountServiceAccountToken"] is spec["hostNetwork"] is spec["hostPID"] is False
    assert container["resources"]["limits"] == {"memory": "512Mi", "cpu": "500m"}
    assert all("emptyDir" in each for each in spec["volumes"])
    labels, facts = pod.asked["metadata"]["labels"], pod.asked["metadata"]["annotations"]
    assert labels == {"app": "hypha", "component": "worker-pod"}
    assert (facts["hypha/workspace"], facts["hypha/session"], facts["hypha/app"]) == ("w", ID, "app")
    variables = dict(each.split("=", 1) for each in pod.variables)
    assert variables["HYPHA_CLIENT_ID"] == "_rapp_1__rlb" and variables["HYPHA_TOKEN"] == "own"
    assert await logged(worker, "\n") == "hello app you\n"
    await worker.stop(ID)
    assert cluster.pods == {} and ID not in worker._sessions


@pytest.mark.spec("apps-12.4.6")
async def test_scripts_run_in_the_pod_with_their_streams_and_their_end(worker: K8sWorker) -> None:
    await worker.start(config_of(env={"A": "1"}))
    told: list[Any] = []
    answer = await worker.execute(ID, "echo $A; echo no >&2; exit 3", {}, told.append, HERE)
    assert answer["status"] == "error" and "code 3" in answer["error"]["evalue"]
    texts = {each["name"]: each["text"] for each in answer["outputs"]}
    assert texts == {"stdout": "1\n", "stderr": "no\n"} and len(told) == 2
    assert (await worker.execute(ID, "true", context=HERE))["status"] == "ok"
    slow = await worker.execute(ID, "sleep 600", {"timeout": 0.3}, context=HERE)
    assert slow["error"]["ename"] == "TimeoutError"
    with pytest.raises(WorkerError, match="container not found"):
        await worker.execute(ID, "true", {"container": "other"}, context=HERE)
    with pytest.raises(InvalidArguments, match="shell is the path"):
        await worker.execute(ID, "true", {"shell": "sh -c"}, context=HERE)


@pytest.mark.usefixtures("long")
async def test_a_pod_that_fails_fails_the_start_and_one_that_ends_well_is_complete(worker: K8sWorker) -> None:
    with pytest.raises(WorkerError, match=r"code 4[\s\S]*no such file"):
        await worker.start(config_of(["sh", "-c", "echo no such file >&2; exit 4"]))
    await worker.start(config_of(["true"], 2))
    assert worker._sessions["w/_rapp_2__rlb"].status is SessionStatus.COMPLETED


async def test_an_image_that_is_not_there_fails_the_start(worker: K8sWorker) -> None:
    with pytest.raises(WorkerError, match=r"cannot start: ImagePullBackOff. no such image"):
        await worker.start(config_of(image="none:1"))


async def test_the_cluster_ends_a_pod_whose_time_is_over(worker: K8sWorker, cluster: FakeK8s) -> None:
    await worker.start(config_of(timeout=1))
    await eventually(lambda: worker._sessions[ID].status is SessionStatus.FAILED)
    assert "as long as it may" in str(worker._sessions[ID].error)


async def test_a_pod_that_somebody_deletes_is_told_and_stopping_it_is_fine(
    worker: K8sWorker, cluster: FakeK8s
) -> None:
    await worker.start(config_of())
    (pod,) = cluster.pods.values()
    cluster.pods.clear()
    await eventually(lambda: worker._sessions[ID].status is SessionStatus.FAILED)
    assert "was removed" in str(worker._sessions[ID].error)
    await worker.stop(ID)
    assert pod.process is not None
    pod.process.kill()


@pytest.mark.spec("apps-12.4.6")
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image": None}, "image is missing"),
        ({"image": "python"}, "a name with a tag"),
        ({"command": "ls"}, "command is a list"),
        ({"env": ["A=1"]}, "env is an object"),
        ({"restart_policy": "Sometimes"}, "restart_policy is one of Never, OnFailure, Always"),
    ],
)
async def test_a_manifest_that_says_what_cannot_be_is_refused(
    worker: K8sWorker, cluster: FakeK8s, fields: dict[str, Any], words: str
) -> None:
    config = config_of(**fields)
    for call in (worker.compile(config["manifest"], []), worker.start(config)):
        with pytest.raises(InvalidArguments, match=words):
            await call
    assert cluster.pods == {}


async def test_what_a_manifest_leaves_out_is_added(worker: K8sWorker) -> None:
    manifest, _ = await worker.compile({"type": "k8s-pod", "image": "a:1"}, [])
    assert manifest["restart_policy"] == "Never" and manifest["image_pull_policy"] == "IfNotPresent"
    assert manifest["timeout"] == 3600


async def test_other_workspaces_and_who_may_only_read_do_nothing(worker: K8sWorker, cluster: FakeK8s) -> None:
    for context in (ELSEWHERE, READER):
        with pytest.raises(PermissionDenied):
            await worker.start(config_of(), context)
    assert cluster.pods == {}
    await worker.start(config_of(), HERE)
    for context in (ELSEWHERE, READER):
        with pytest.raises(PermissionDenied):
            await worker.execute(ID, "true", context=context)


async def test_pods_that_outlived_their_time_are_deleted_and_others_stay(
    worker: K8sWorker, cluster: FakeK8s
) -> None:
    await worker.start(config_of())
    await worker.start(config_of(number=2))
    old, _ = list(cluster.pods.values())
    old.asked["metadata"]["annotations"]["hypha/ends-at"] = str(int(time.time()) - 100)
    await worker._engine.sweep()
    assert [each.asked["metadata"]["annotations"]["hypha/session"] for each in cluster.pods.values()] == [
        "w/_rapp_2__rlb"
    ]


async def test_a_cluster_that_refuses_or_is_away_is_told(cluster: FakeK8s, url: str) -> None:
    wrong = K8sWorker(Cluster(url=url, namespace="lab", token="wrong"))
    with pytest.raises(WorkerError, match="The cluster says: Unauthorized"):
        await wrong._engine.prepare()
    away = K8sWorker(Cluster(url="http://127.0.0.1:1", namespace="lab"))
    with pytest.raises(WorkerNotAvailableError, match="does not answer"):
        await away._engine.prepare()
    for each in (wrong, away):
        await each.shutdown()


async def test_a_server_whose_cluster_refuses_it_starts_with_one_warning(
    cluster: FakeK8s,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in kubeconfig(tmp_path, url, token="wrong").items():
        monkeypatch.setenv(name, value)
    await hypha_startup(None)  # which would fail if it registered something
    assert [each.getMessage() for each in caplog.records] == [
        "No apps on Kubernetes: The cluster says: Unauthorized"
    ]


def kubeconfig(folder: Path, url: str = "http://127.0.0.1:6443/", **user: Any) -> dict[str, str]:
    told = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "lab"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "config").write_text(yaml.safe_dump(told))
    return {"KUBECONFIG": str(folder / "config")}


def test_the_cluster_of_kubectl_is_found(tmp_path: Path) -> None:
    found = find_cluster(kubeconfig(tmp_path, token=TOKEN))
    assert (found.url, found.namespace) == ("http://127.0.0.1:6443", "lab")
    assert found.headers() == {"authorization": f"Bearer {TOKEN}"} and TOKEN not in repr(found)
    (tmp_path / "token").write_text("first\n")
    found = find_cluster(kubeconfig(tmp_path, tokenFile="token"))
    (tmp_path / "token").write_text("second\n")
    assert found.headers() == {"authorization": "Bearer second"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no cluster"),
        ("{a", "cannot be read"),
        ("[]", "names no cluster"),
        ("current-context: x\ncontexts: []", "names no cluster"),
    ],
)
def test_without_a_cluster_it_is_told_in_words(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "config").write_text(content)
    with pytest.raises(WorkerNotAvailableError, match=words):
        find_cluster({"KUBECONFIG": str(tmp_path / "config")})


def test_a_user_that_signs_in_with_a_program_runs_none(tmp_path: Path) -> None:
    with pytest.raises(WorkerNotAvailableError, match="give a token or a certificate"):
        find_cluster(kubeconfig(tmp_path, exec={"command": "touch"}))


def test_a_pod_finds_the_cluster_that_it_is_in(tmp_path: Path) -> None:
    authority = ssl.create_default_context().get_ca_certs(binary_form=True)[0]
    content = {"token": TOKEN, "namespace": "mine", "ca.crt": ssl.DER_cert_to_PEM_cert(authority)}
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    found = find_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert (found.url, found.namespace) == ("https://[fd00::1]:6443", "mine")
    assert found.tls is not None and found.tls.check_hostname
    assert found.headers()["authorization"].endswith(TOKEN)
