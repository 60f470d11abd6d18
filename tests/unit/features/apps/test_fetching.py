"""Sources are fetched from hosts of the internet alone, within bounds."""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hypha.errors import InvalidRequest
from hypha.features.apps import fetching
from hypha.features.apps.fetching import SourceFetcher

HERE, INSIDE = "127.0.0.1", "10.0.0.7"
ADDRESSES = {
    "good.example": [HERE],
    "inside.example": [INSIDE],
    "both.example": [HERE, INSIDE],
    "none.example": [],
}
PLUGIN = "<config>{}</config>"


class Site:
    """An HTTPS server for `good.example`, what it answers by path, and what it was asked."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        self.port = port
        self.tls = tls
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[dict[str, str]] = []

    def url(self, path: str, host: str = "good.example") -> str:
        return f"https://{host}:{self.port}/{path}"

    def fetcher(self, tls: ssl.SSLContext | None = None) -> SourceFetcher:
        return SourceFetcher(ADDRESSES.__getitem__, lambda address: address == HERE, tls or self.tls)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of `good.example` that it signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "good.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("good.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    own, secret = folder / "own.pem", folder / "key.pem"
    own.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kind = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()))
    return own, secret


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    own, secret = certificate(tmp_path_factory.mktemp("site"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(dict(self.headers))
            status, headers, body = site.answers.get(self.path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is printed."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Clients hang up."""

    server = Server((HERE, 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own, secret)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    site = Site(server.server_port, ssl.create_default_context(cafile=str(own)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def site(running: Site) -> AsyncIterator[Site]:
    running.answers.clear()
    running.asked.clear()
    yield running


async def fetch(site: Site, url: str, tls: ssl.SSLContext | None = None) -> str:
    fetcher = site.fetcher(tls)
    try:
        return await fetcher.fetch(url, "ann")
    finally:
        fetcher.close()


async def test_a_text_is_fetched_through_redirects_by_its_own_name(site: Site) -> None:
    site.answers = {
        "/a": (302, {"Location": "/b?c=d"}, b""),
        "/b?c=d": (301, {"Location": site.url("p.imjoy.html#x")}, b""),
        "/p.imjoy.html": (200, {}, b"\xef\xbb\xbf" + PLUGIN.encode()),
    }
    assert await fetch(site, site.url("a")) == PLUGIN
    for asked in site.asked:
        assert asked["Host"] == f"good.example:{site.port}"
        assert not {"Authorization", "Cookie"} & set(asked)


@pytest.mark.spec("apps-12.1.6")
@pytest.mark.parametrize("host", ["inside.example", "both.example", "none.example"])
async def test_a_host_that_is_not_of_the_internet_is_not_reached(host: str, site: Site) -> None:
    with pytest.raises(InvalidRequest, match="The internet has no host"):
        await fetch(site, site.url("p", host))
    site.answers["/moved"] = (302, {"Location": site.url("p", host)}, b"")
    with pytest.raises(InvalidRequest, match="The internet has no host"):
        await fetch(site, site.url("moved"))
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((302, {"Location": "http://good.example/p"}, b""), "Only secured https urls"),
        ((302, {"Location": "http://localhost/p"}, b""), "Only secured https urls"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "Only secured https urls"),
        ((302, {"Location": "https://user:pw@good.example/"}, b""), "no user name"),
        ((302, {}, b""), "more than 5 times"),
        ((404, {}, b""), "status 404"),
        ((200, {"Content-Encoding": "gzip"}, b"x"), "coding"),
        ((200, {}, b"\xff\xfe"), "no text in UTF-8"),
        ((200, {}, b"x" * 2_000), "more than 1000 bytes"),
        ((200, {"Content-Length": "900"}, b"x"), "cannot be fetched"),
    ],
    ids=lambda given: given[:12] if isinstance(given, str) else None,
)
async def test_other_answers_are_refused(
    answer: tuple[int, dict[str, str], bytes], said: str, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "MAX_SOURCE_CHARS", 1_000)
    site.answers["/p"] = answer
    with pytest.raises(InvalidRequest, match=said):
        await fetch(site, site.url("p"))


async def test_a_certificate_of_somebody_else_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ADDRESSES, "other.example", [HERE])
    site.answers["/p"] = (200, {}, b"x")
    for url, tls in ((site.url("p", "other.example"), None), (site.url("p"), ssl.create_default_context())):
        with pytest.raises(InvalidRequest, match="cannot be fetched"):
            await fetch(site, url, tls)
    assert site.asked == []


async def test_nobody_waits_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT_S", 0.05)
    let = threading.Event()
    fetcher = SourceFetcher(lambda host: [HERE] if let.wait(60) else [], lambda address: True, site.tls)
    with pytest.raises(InvalidRequest, match="did not come within"):
        await fetcher.fetch(site.url("p"), "ann")
    let.set()
    fetcher.close()
