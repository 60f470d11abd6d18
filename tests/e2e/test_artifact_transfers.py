"""Many files of artifacts with real clients: progress, digests that the server checks, uploads that go on."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from hypha.cli.artifact import putting, sending
from hypha.cli.artifact.command import artifact
from hypha.cli.artifact.faults import Unreachable
from hypha.testing import ServerProcess
from tests.kit.clients import Connect
from tests.kit.people import Person, make_person


async def test_a_client_hears_how_far_its_commit_has_come(connect: Connect, alice: Person) -> None:
    artifacts = await (await connect(alice)).get_service("public/artifact-manager")
    await artifacts.create("told", manifest={"name": "T"}, stage=True)
    for name in ("a", "b", "c"):
        await artifacts.write_file("told", name, name)
    heard: list[Any] = []
    await artifacts.commit("told", progress_callback=heard.append)
    assert (heard[-1]["type"], heard[-1]["done"], heard[-1]["total"]) == ("success", 3, 3)
    never = asyncio.Event()

    async def deaf(report: Any) -> None:
        await never.wait()

    def broken(report: Any) -> None:
        raise ValueError("no")

    for callback in (deaf, broken):
        assert (await artifacts.verify("told", progress_callback=callback))["files"] == 3
    never.set()
    await artifacts.duplicate("told", "copy", progress_callback=heard.append)
    await artifacts.delete("told", progress_callback=heard.append)
    assert [report["operation"] for report in heard if report["type"] == "success"] == [
        "commit", "duplicate", "delete",
    ]  # fmt: skip
    with pytest.raises(Exception, match="function of the client that calls"):
        await artifacts.commit("copy", progress_callback="no function")


async def test_bytes_that_are_not_what_was_said_are_refused(
    connect: Connect, server: ServerProcess, alice: Person
) -> None:
    artifacts = await (await connect(alice)).get_service("public/artifact-manager")
    await artifacts.create("sums", manifest={"name": "S"}, stage=True)
    right = hashlib.sha256(b"right")
    in_base64 = base64.b64encode(right.digest()).decode()
    signed = await artifacts.put_file("sums", "signed.txt", sha256=right.hexdigest())
    plain = await artifacts.put_file("sums", "plain.txt", use_proxy=True)  # S3 itself would not look
    auth = {"Authorization": f"Bearer {alice.token}"}
    digest = {"Content-Digest": f"sha-256=:{in_base64}:"}
    artifact = f"{server.url}/{alice.workspace}/artifacts/sums/files/route.txt"
    places = [
        (signed, {}), (plain, digest), (plain, {"x-amz-checksum-sha256": in_base64}),
        (artifact, auth | digest), (f"{server.url}/{alice.workspace}/files/route.txt", auth | digest),
    ]  # fmt: skip
    async with httpx.AsyncClient() as http:
        for url, headers in places:
            refused = await http.put(url, content=b"wrong", headers=headers)
            assert (refused.status_code, right.hexdigest() in refused.text) == (400, False)
            assert hashlib.sha256(b"wrong").hexdigest() in refused.text
            assert (await http.put(url, content=b"right", headers=headers)).status_code == 200
        for headers in ({"Content-Digest": "sha-256=:!:"}, {"x-amz-checksum-sha256": "AAAA"}):
            assert (await http.put(plain, content=b"right", headers=headers)).status_code == 400
        other = await http.put(signed, content=b"right", headers={"x-amz-content-sha256": "0" * 64})
        assert other.status_code == 400
        by_http = await http.post(
            f"{server.url}/public/services/artifact-manager/commit", headers=auth,
            json={"artifact_id": f"{alice.workspace}/sums", "progress_callback": {"_rtype": "method"}},
        )  # fmt: skip
        assert by_http.status_code == 400
    committed = await artifacts.commit("sums")
    assert committed["file_count"] == 3


async def test_answers_tell_how_much_room_is_used(
    connect: Connect, server: ServerProcess, alice: Person, bob: Person
) -> None:
    client = await connect(alice)
    artifacts = await client.get_service("public/artifact-manager")
    grants = {"permissions": {bob.id: "rw+"}}
    await artifacts.create("room", manifest={"name": "R"}, config=grants, stage=True)
    base, auth = f"{server.url}/{alice.workspace}", {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient() as http:
        before = await http.put(f"{base}/files/a", content=b"a", headers=auth)
        after = await http.put(f"{base}/files/b", content=b"12345", headers=auth)
        used = [int(answer.headers["x-storage-used"]) for answer in (before, after)]
        assert used[1] - used[0] == 5
        limits = (await client.get_summary())["limits"]["kept"]
        assert int(after.headers["x-storage-limit"]) == limits["files"]["limit_bytes"]
        mine = await http.put(f"{base}/artifacts/room/files/a", content=b"a", headers=auth)
        assert int(mine.headers["x-storage-limit"]) == limits["artifact_files"]["limit_bytes"]
        theirs = {"Authorization": f"Bearer {bob.token}"}
        granted = await http.put(f"{base}/artifacts/room/files/b", content=b"b", headers=theirs)
        assert (granted.status_code, "x-storage-used" in granted.headers) == (200, False)


# -- the command


class Terminal:
    """The command as one person runs it in a folder."""

    def __init__(self, person: Person, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.person, self.folder = person, folder
        self._capture = capture

    def run(self, *words: str | Path) -> tuple[int, str]:
        """Exit code and all that was printed."""
        self._capture.readouterr()
        code = artifact([*map(str, words)])
        printed = self._capture.readouterr()
        return code, printed.out + printed.err

    def write(self, **files: str) -> Path:
        """A folder with these files; `_` stands for a dot, `__` for a slash in their names."""
        folder = self.folder / "here"
        for name, content in files.items():
            file = folder / name.replace("__", "/").replace("_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return folder


@pytest.fixture
def terminal(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    person = make_person(server, "typist")
    monkeypatch.setenv("HYPHA_SERVER_URL", server.url)
    monkeypatch.setenv("HYPHA_TOKEN", person.token)
    monkeypatch.chdir(tmp_path)
    return Terminal(person, tmp_path, capsys)


def test_a_folder_goes_there_and_comes_back(terminal: Terminal) -> None:
    here = terminal.write(a_txt="a", sub__b_txt="b", empty="")
    (here / "sub/ö ä%20?#&+.txt").write_text("odd")
    code, said = terminal.run("put", here, "data")
    assert (code, "committed as v0, with 4 files" in said, "4 files sent" in said) == (0, True, True)
    assert "all 4 files are there" in terminal.run("put", here, "data")[1]
    terminal.write(a_txt="A", c_txt="c")
    (here / "empty").unlink()
    code, said = terminal.run("put", here, "data", "--delete")
    assert "committed as v0, with 4 files" in said
    assert "2 files sent (2 B), 2 were there, 0 taken from other versions, 1 removed" in said
    code, said = terminal.run("put", here, "data", "--name", "two", "--comment", "more")
    assert "committed as two, with 4 files" in said
    assert "0 files sent (0 B), 0 were there, 4 taken from other versions" in said
    assert terminal.run("get", "data", "out")[1].startswith("4 files got (6 B), 0 were there")
    assert terminal.run("get", "data", "out")[1].startswith("0 files got (0 B), 4 were there")
    assert (terminal.folder / "out/sub/ö ä%20?#&+.txt").read_text() == "odd"
    assert terminal.run("verify", "data", "out") == (
        0, f"{terminal.person.workspace}/data: 4 files compared, 0 differ\n",
    )  # fmt: skip
    terminal.run("get", "data:a.txt", "single", "--version", "v0")
    assert (terminal.folder / "single").read_text() == "A"


def test_names_that_the_server_refuses_are_told_before_anything_is_sent(terminal: Terminal) -> None:
    here = terminal.write(a_txt="a", sub__b_txt="b")
    odd = ["back\\slash.txt", "new\nline.txt", "sub/" + "%" * 100]
    for name in odd:
        (here / name).write_text("odd")
    code, said = terminal.run("put", here, "refused", "--delete")
    assert (code, said.count("refused: ")) == (1, 3), said
    assert f"refused: {here}/sub/{'%' * 100}: " in said and r"\nline.txt: " in said
    assert "nothing was sent: the server does not take the names of 3 of 5 files." in said
    assert terminal.run("ls", "refused")[0] == 1, "there is no artifact, either"
    code, said = terminal.run("put", here, "refused", "--delete", "--skip-refused-names")
    assert (code, "committed as v0, with 2 files" in said, "3 left out" in said) == (0, True, True), said
    (here / odd[0]).rename(here / "slash.txt")
    code, said = terminal.run("put", here, "refused", "--skip-refused-names")
    assert (code, "with 3 files" in said, "2 left out" in said) == (0, True, True), said
    code, said = terminal.run("put", here / "a.txt", "refused:sub/../")
    assert (code, "'..' in it" in said) == (2, True), said


def test_what_is_there_is_listed_and_removed(terminal: Terminal) -> None:
    here = terminal.write(a_txt="a", sub__b_txt="b", sub__deep__c_txt="c")
    assert terminal.run("put", here, "listed:in/it", "--manifest", "none.json")[0] == 2
    (terminal.folder / "m.json").write_text('{"name": "Mine"}')
    assert terminal.run("put", here, "listed:in/it", "--manifest", "m.json", "--type", "dataset")[0] == 0
    assert terminal.run("ls", "listed:in/it") == (0, "a.txt\nsub/\n")
    assert terminal.run("ls", "-r", "listed:in/it/sub")[1] == "in/it/sub/b.txt\nin/it/sub/deep/c.txt\n"
    assert "2  " not in terminal.run("ls", "-l", "listed:in/it")[1].partition("a.txt")[0][:15]
    own = f"{terminal.person.workspace}/"
    assert f"{own}listed  dataset  3 files" in terminal.run("ls")[1]
    assert terminal.run("ls", own) == terminal.run("ls", "--workspace", own.rstrip("/"))
    code, said = terminal.run("rm", "listed:in/it/sub")
    assert (code, "add -r" in said) == (2, True)
    assert terminal.run("rm", "listed:nope")[0] == 1
    assert "3 files removed" in terminal.run("rm", "-r", "listed:in/it/sub", "listed:in/it/a.txt")[1]
    assert terminal.run("rm", "listed", "--version", "nope")[0] == 1
    assert "the artifact deleted" in terminal.run("rm", "listed", "--artifact")[1]
    assert "does not exist" in terminal.run("ls", "listed")[1]


def test_who_may_not_is_told_so(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    here = terminal.write(a_txt="a")
    assert terminal.run("put", here, "mine")[0] == 0
    monkeypatch.delenv("HYPHA_TOKEN")
    mine = f"{terminal.person.workspace}/mine"
    for words in (
        ["ls", mine],
        ["get", mine],
        ["put", here, mine],
        ["rm", f"{mine}:a.txt"],
        ["verify", mine],
    ):
        code, said = terminal.run(*words)
        assert (code, "permission" in said) == (1, True), words
    assert "not accepted" in terminal.run("ls", mine, "--token", "nonsense")[1]


def test_nothing_is_deleted_but_what_is_not_here(terminal: Terminal) -> None:
    here = terminal.write(a_txt="a", link="l", part="p", sub__b_txt="b", other__c_txt="c", gone_txt="g")
    assert terminal.run("put", here, "mirror")[0] == 0
    code, said = terminal.run("put", here / "a.txt", "mirror", "--delete")
    assert (code, "--delete is for a folder" in said) == (2, True)
    for name in ("link", "part", "gone.txt"):
        (here / name).unlink()
    (here / "link").symlink_to("a.txt")
    (here / "part.hypha-part").write_text("p")
    (here / "sub").rename(terminal.folder / "away")
    (here / "sub").symlink_to(terminal.folder / "away")
    code, said = terminal.run("put", here, "mirror", "--delete")
    assert (code, "1 removed, 3 left out" in said) == (0, True)
    assert terminal.run("ls", "-r", "mirror")[1].split() == [
        "a.txt",
        "link",
        "part",
        "other/c.txt",
        "sub/b.txt",
    ]


def test_what_is_to_go_with_the_next_commit_is_not_taken_for_there(terminal: Terminal) -> None:
    here = terminal.write(a_txt="a", b_txt="b")
    assert terminal.run("put", here, "undecided")[0] == 0
    assert terminal.run("rm", "undecided:a.txt", "--stage")[0] == 0
    assert terminal.run("rm", "undecided:a.txt")[0] == 1
    code, said = terminal.run("put", here, "undecided")
    assert (code, "1 were there, 1 taken from other versions" in said) == (0, True)
    assert terminal.run("ls", "undecided")[1].split() == ["a.txt", "b.txt"]
    url = f"{os.environ['HYPHA_SERVER_URL']}/public/services/artifact-manager"
    auth = {"Authorization": f"Bearer {terminal.person.token}"}
    named = {"artifact_id": f"{terminal.person.workspace}/undecided"}
    httpx.post(f"{url}/edit", headers=auth, json={**named, "stage": True}).raise_for_status()
    httpx.post(f"{url}/put_file", headers=auth, json={**named, "file_path": "never"}).raise_for_status()
    assert "never uploaded" in terminal.run("put", here, "undecided")[1]
    code, said = terminal.run("put", here, "undecided", "--delete")
    assert (code, "2 were there" in said, "1 removed" in said) == (0, True, True)


def test_a_large_file_goes_on_with_the_parts_that_are_there(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LARGE_BYTES", 10_000)
    monkeypatch.setattr(putting, "LARGE_BYTES", 10_000)
    monkeypatch.setattr(sending, "PART_BYTES", 4000)
    here = terminal.write(big_bin="0123456789" * 2000)
    sent: list[int] = []
    send_part = sending.Sending._send_part

    def breaks_off(self: sending.Sending, file: Any, part: sending.Part) -> tuple[str, bool]:
        if len(sent) == 2:
            raise Unreachable("gone")
        sent.append(part.number)
        return send_part(self, file, part)

    monkeypatch.setattr(sending.Sending, "_send_part", breaks_off)
    assert terminal.run("put", here, "large", "--jobs", "1")[0] == 3
    terminal.write(big_bin="9876543210" * 2000)  # of the same size
    sent.clear()
    assert terminal.run("put", here, "large", "--jobs", "1")[0] == 3
    monkeypatch.setattr(sending.Sending, "_send_part", send_part)
    code, said = terminal.run("put", here, "large")
    assert (code, "1 files sent (12.0 kB)" in said) == (0, True)  # 20 kB less two parts
    terminal.run("get", "large", "out")
    assert (terminal.folder / "out/big.bin").read_text() == "9876543210" * 2000


@pytest.mark.skipif("HYPHA_TEST_S3" in os.environ, reason="files lie in S3, not on the server's disk")
def test_bit_rot_on_the_servers_disk_is_named(terminal: Terminal, server: ServerProcess) -> None:
    here = terminal.write(a_txt="whole", b_txt="fine")
    assert terminal.run("put", here, "rotten")[0] == 0
    assert terminal.run("verify", "rotten", "--all-versions")[0] == 0
    place = next(Path(server.data_dir, "objects").rglob(f"{terminal.person.workspace}/artifacts/*/v0/a.txt"))
    before = place.stat()
    place.write_text("whale")
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    code, said = terminal.run("verify", "rotten")
    assert (code, said.splitlines()[0]) == (4, "changed: a.txt (version v0)")
    assert terminal.run("get", "rotten:a.txt", "out")[0] == 1
    assert terminal.run("put", here, "rotten", "--new-version")[0] == 0
    assert terminal.run("verify", "rotten")[0] == 0
