"""Which cluster there is, and how one is let in: as a pod of it, or by a file of `kubectl`."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hypha.workers.base import WorkerNotAvailableError

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where the API server is, and how one is let in."""

    url: str
    namespace: str
    """In which one is, if nothing else was said."""
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    """Of a pod, whose token changes now and then."""
    tls: ssl.SSLContext | None = None

    def headers(self) -> dict[str, str]:
        """What goes with each request."""
        token = self.token if self.token_file is None else self.token_file.read_text().strip()
        return {"authorization": f"Bearer {token}"} if token else {}


def find_cluster(variables: Mapping[str, str], account: Path = _ACCOUNT) -> Cluster:
    """The cluster that this process is in, else the one that `kubectl` speaks to.

    Raises:
        WorkerNotAvailableError: there is none, or its file cannot be used.
    """
    host = variables.get("KUBERNETES_SERVICE_HOST")
    if host and (account / "token").is_file():
        address = f"[{host}]" if ":" in host else host
        return Cluster(
            url=f"https://{address}:{variables.get('KUBERNETES_SERVICE_PORT', '443')}",
            namespace=(account / "namespace").read_text().strip(),
            token_file=account / "token",
            tls=ssl.create_default_context(cafile=str(account / "ca.crt")),
        )
    path = Path(variables.get("KUBECONFIG", "").partition(":")[0] or "~/.kube/config").expanduser()
    try:
        told = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise WorkerNotAvailableError(
            "There is no cluster: this is no pod, and no KUBECONFIG is there."
        ) from None
    except (OSError, ValueError, yaml.YAMLError):
        raise WorkerNotAvailableError(f"The file {path} cannot be read as one of kubectl.") from None
    try:
        return _of_file(told, path.parent)
    except (KeyError, TypeError, AttributeError, StopIteration):
        raise WorkerNotAvailableError(
            f"The file {path} names no cluster with a user (current-context)."
        ) from None
    except (OSError, ValueError) as error:
        raise WorkerNotAvailableError(f"The certificates in {path} cannot be used: {error}.") from None


def _of_file(told: Mapping[str, Any], folder: Path) -> Cluster:
    context = _named(told, "contexts", told["current-context"])["context"]
    cluster = _named(told, "clusters", context["cluster"])["cluster"]
    user = _named(told, "users", context["user"])["user"] or {}
    if "exec" in user or "auth-provider" in user:
        raise WorkerNotAvailableError(
            "A user of KUBECONFIG that signs in with a program will not do: give a token or a certificate."
        )
    file = user.get("tokenFile")
    return Cluster(
        url=str(cluster["server"]).rstrip("/"),
        namespace=str(context.get("namespace") or "default"),
        token=user.get("token"),
        token_file=folder / file if file else None,
        tls=_tls(cluster, user, folder) if str(cluster["server"]).startswith("https:") else None,
    )


def _named(told: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(each for each in told[kind] if each["name"] == name)
    return found


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify") is True:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate, key = _content(user, "client-certificate", folder), _content(user, "client-key", folder)
    if certificate and key:
        with tempfile.NamedTemporaryFile() as file:  # which only this user may read
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _content(said: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    if data := said.get(f"{name}-data"):
        return base64.b64decode(data)
    return (folder / said[name]).read_bytes() if said.get(name) else None
