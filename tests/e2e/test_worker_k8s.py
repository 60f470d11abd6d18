"""Apps as pods through the app controller, with an API server that is a fake, and without any."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from hypha.testing import ServerProcess, free_port
from tests.e2e.apps_lab import controller
from tests.kit.clients import Connect, StartServer, shared_server
from tests.kit.fake_engines import served
from tests.kit.fake_k8s import TOKEN, FakeK8s
from tests.kit.people import make_person

FLAGS = ["--enable-server-apps", "--enable-k8s-worker"]
COMMAND = ["sh", "-c", "echo hello $HYPHA_WORKSPACE; exec sleep 600"]


@pytest.mark.spec("apps-12.4.6")
async def test_a_pod_is_installed_started_used_and_stopped(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    port, cluster = free_port(), FakeK8s()
    told = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "lab"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(told))
    async with served(cluster.app(), port=port):
        own = await start_server(flags=FLAGS, env={"KUBECONFIG": str(tmp_path / "config")})
        ann = make_person(own, "ann")
        apps = await controller(connect, own, ann)
        manifest = {"name": "Pod", "type": "k8s-pod", "version": "0.1.0", "image": "a:1", "command": COMMAND}
        with pytest.raises(Exception, match="image is a name with a tag"):
            await apps.install(manifest={**manifest, "image": "a"}, app_id="pod", wait_for_service=False)
        await apps.install(manifest=manifest, app_id="pod", wait_for_service=False)
        session = await apps.start("pod", wait_for_service=False)
        assert [each.asked["metadata"]["annotations"]["hypha/session"] for each in cluster.pods.values()] == [
            session["id"]
        ]
        answer = await apps.execute(session["id"], "echo $HYPHA_APP_ID")
        assert answer["outputs"] == [{"type": "stream", "name": "stdout", "text": "pod\n"}]
        page = await apps.get_logs(session["id"], type="stdout")
        assert page["items"][0]["content"] == f"hello {ann.workspace}\n"
        with pytest.raises(Exception, match=r"[Pp]ermission|not found"):
            bob = await controller(connect, own, make_person(own, "bob"))
            await bob.execute(session["id"], "true")
        await apps.stop(session["id"])
        async with asyncio.timeout(20):
            while cluster.pods:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await cluster.end()


bare_server = shared_server(flags=FLAGS, env={"KUBECONFIG": "/none"})


@pytest.mark.spec("apps-12.4.6")
async def test_without_a_cluster_the_server_starts_and_says_so_once(
    connect: Connect, bare_server: ServerProcess
) -> None:
    apps = await controller(connect, bare_server, make_person(bare_server, "ann"))
    assert await apps.list_workers("k8s-pod") == []
    assert bare_server.log.count("No apps on Kubernetes: There is no cluster") == 1
