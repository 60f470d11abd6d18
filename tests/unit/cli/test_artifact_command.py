"""The `artifact` command against a server that fails, lies and breaks off; and its arguments."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shlex
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hypha.cli.artifact import server as requests
from hypha.cli.artifact.bar import Bar, shown_name, shown_size
from hypha.cli.artifact.command import artifact, artifact_parser
from hypha.cli.artifact.faults import Fault, ServerFault, Stopped, Unreachable
from hypha.cli.artifact.local import find_files, target_in
from hypha.cli.artifact.parallel import in_parallel

CONTENT = bytes(range(256)) * 1000


class Faulty:
    """An artifact `lab/data` of one file, whose server misbehaves as the test says."""

    def __init__(self) -> None:
        self.id: object = "lab/data"
        self.path = "a.bin"
        self.sha256: str | None = hashlib.sha256(CONTENT).hexdigest()
        self.connections = 0
        self.refusal = ""
        """What calls are refused with."""
        self.leads_to = ""
        """Where calls are sent; `{0}` stands for the address of this server."""
        self.says = 307
        self.more = b""
        """Comes behind each download."""
        self.busy = 0
        """So many requests are answered with 503 first."""
        self.breaks = 0
        """So many downloads end in the middle."""
        self.ranges: list[str] = []
        self.tokens: list[str | None] = []

    def call(self, function: str) -> Any:
        if function == "read":
            return {"id": self.id, "versions": [{"version": "v0"}], "staging": None, "file_count": 1}
        if function == "verify":
            return {"files": 1, "bytes": len(CONTENT), "damaged": []}
        file = {"path": self.path, "size": len(CONTENT), "sha256": self.sha256, "last_modified": 1.0}
        return {"files": [file], "after": None}


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    state = Faulty()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            state.connections += 1

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            state.tokens.append(self.headers["Authorization"])
            if state.leads_to and self.path != "/there":
                self.send_response(state.says)
                self.send_header("Location", state.leads_to.format(f"http://{self.headers['Host']}"))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif state.refusal:
                self.answer(400, json.dumps({"detail": state.refusal}).encode())
            elif state.busy:
                state.busy -= 1
                self.answer(503, b'{"detail": "busy"}')
            else:
                self.answer(200, json.dumps(state.call(self.path.rpartition("/")[2])).encode())

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            state.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
            if state.breaks:
                state.breaks -= 1
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", str(len(CONTENT) - start))
                self.end_headers()
                self.wfile.write(CONTENT[start : start + 1000])
                self.close_connection = True
            else:
                self.answer(206 if asked else 200, CONTENT[start:] + state.more)

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("HYPHA_SERVER_URL", f"http://127.0.0.1:{web.server_port}")
    monkeypatch.setenv("HYPHA_TOKEN", "secret")
    monkeypatch.setattr(requests, "FIRST_PAUSE_S", 0.001)
    yield state
    web.shutdown()
    web.server_close()
    thread.join()


def test_a_server_that_is_busy_is_asked_again(faulty: Faulty, tmp_path: Path) -> None:
    faulty.busy = 3
    assert artifact(["get", "lab/data", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/a.bin").read_bytes() == CONTENT
    assert set(faulty.tokens) == {"Bearer secret"}


def test_one_that_stays_so_is_given_up(faulty: Faulty, capsys: pytest.CaptureFixture[str]) -> None:
    faulty.busy = 10_000
    assert artifact(["ls", "lab/data", "--patience", "0.05"]) == 3
    assert "does not answer: busy" in capsys.readouterr().err


def test_a_download_that_breaks_off_goes_on_where_it_was(faulty: Faulty, tmp_path: Path) -> None:
    faulty.breaks = 2
    assert artifact(["get", "data:a.bin", str(tmp_path)]) == 0
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert faulty.ranges == ["", "bytes=1000-", "bytes=2000-"]


def test_what_an_earlier_run_left_is_used_if_it_fits(faulty: Faulty, tmp_path: Path) -> None:
    part = tmp_path / "a.bin.hypha-part"
    part.write_bytes(CONTENT[:5000])
    assert artifact(["get", "data:a.bin", str(tmp_path)]) == 0
    assert (faulty.ranges, part.exists()) == (["bytes=5000-"], False)
    (tmp_path / "a.bin").unlink()
    part.write_bytes(b"something else")
    assert artifact(["get", "data:a.bin", str(tmp_path)]) == 0
    assert faulty.ranges[1:] == ["bytes=14-", ""]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_bytes_that_are_not_those_of_the_record_are_not_kept(
    faulty: Faulty, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty.sha256 = "0" * 64
    (tmp_path / "a.bin").write_text("before")
    assert artifact(["get", "data:a.bin", str(tmp_path)]) == 1
    assert "not what was committed" in capsys.readouterr().err
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.bin", "before")]


@pytest.mark.parametrize(
    ("leads_to", "says"),
    [
        ("{0}/public", 307), ("/again", 302), ("{0}/x", 304), ("file:///etc/passwd", 307), ("http://", 301),
        ("ftp://x/y", 308), ("{0}/x", 300),
    ],
)  # fmt: skip
def test_an_answer_that_leads_nowhere_is_no_success(faulty: Faulty, leads_to: str, says: int) -> None:
    faulty.leads_to, faulty.says = leads_to, says
    assert artifact(["ls", "-l", "lab/data"]) == 1
    url = os.environ["HYPHA_SERVER_URL"]
    with pytest.raises(ServerFault):
        requests.HyphaServer(url, None, 0.0).request(
            "POST", f"{url}/x", upload=requests.Upload(1, lambda: iter((b"x",)))
        )


def test_one_that_leads_on_is_followed_but_not_to_where_others_read_along(faulty: Faulty) -> None:
    url = os.environ["HYPHA_SERVER_URL"]
    faulty.leads_to = "{0}/there"
    server = requests.HyphaServer(url, "secret", 0.0)
    assert server.call("list_contents")["files"][0]["path"] == "a.bin"
    assert faulty.tokens == ["Bearer secret"] * 2
    answer = server.request("GET", f"{url}/x")
    answer.end()
    with pytest.raises(ServerFault, match="from https to http"):
        requests._led_to("https://hub/x", replace(answer, headers={"location": "http://hub/x"}))


def test_what_is_not_read_of_an_answer_is_no_answer_to_the_next(faulty: Faulty) -> None:
    url = os.environ["HYPHA_SERVER_URL"]
    server = requests.HyphaServer(url, None, 0.0)
    for _ in range(3):
        server.call("read")
        server.request("GET", f"{url}/x", {"Range": f"bytes={len(CONTENT) - 10}-"}).end()
    assert faulty.connections == 1
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    faulty.more = forged * 5000
    reads = (
        lambda answer: answer.end(),
        lambda answer: next(answer.chunks(10)),
        lambda answer: answer.beginning(5),
    )
    for read in reads:
        read(server.request("GET", f"{url}/x"))
        assert server.call("read")["id"] == "lab/data"
    assert faulty.connections == 4


def test_a_terminal_finds_nothing_to_act_on_in_what_a_server_says(
    faulty: Faulty, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\r\n\u202eevil" + "x" * 5000
    faulty.path, faulty.id = evil, f"lab/{evil}"
    there = str(tmp_path)
    for words in (["ls", "-l"], ["ls", "-r"], ["ls"], ["verify"], ["get", there], ["verify", there]):
        artifact([words[0], "data", *words[1:]])
    faulty.refusal = evil
    assert artifact(["ls", "data"]) == 1
    told = capsys.readouterr()
    assert "evil" in told.out and "evil" in told.err
    assert not set(told.out + told.err) & set("\x1b\x07\x9b\r\u202e")
    assert len(told.err.splitlines()[-1]) < 1500


def test_a_file_without_digest_is_got_and_no_success_of_verify(
    faulty: Faulty, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert artifact(["verify", "data"]) == 0
    faulty.sha256 = None
    (tmp_path / "a.bin.hypha-part").write_bytes(b"something else")
    assert artifact(["get", "data:a.bin", str(tmp_path)]) == 0
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert "no digest to check them by: a.bin" in capsys.readouterr().err
    for words in (["data"], ["data:a.bin", "--all-versions"], ["data", str(tmp_path)]):
        assert artifact(["verify", *words]) == 1
        told = capsys.readouterr()
        assert (told.out[:16], "1 could not be checked" in told.err) == ("no digest: a.bin", True)
    (tmp_path / "a.bin").write_bytes(b"shorter")
    assert artifact(["verify", "data:a.bin", str(tmp_path)]) == 4


def test_one_file_is_verified_and_one_that_is_not_there_is_told(
    faulty: Faulty, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty.path = "sub/a.bin"
    (tmp_path / "other.bin").write_bytes(CONTENT)
    assert artifact(["verify", "data:sub/a.bin", str(tmp_path / "other.bin")]) == 0
    (tmp_path / "other.bin").rename(tmp_path / "a.bin")
    assert artifact(["verify", "data:sub/a.bin", str(tmp_path)]) == 0
    assert artifact(["verify", "data:sub", str(tmp_path)]) == 0
    (tmp_path / "a.bin").write_bytes(CONTENT[::-1])
    assert artifact(["verify", "data:sub/a.bin", str(tmp_path)]) == 4
    (tmp_path / "a.bin").unlink()
    assert artifact(["verify", "data:sub/a.bin", str(tmp_path)]) == 4
    (tmp_path / "a.bin").symlink_to("elsewhere")
    assert artifact(["verify", "data:sub", str(tmp_path)]) == 1
    capsys.readouterr()
    for path, code in (("nope", 1), ("sub/a", 1), ("sub/a.bin/", 1), ("sub/a.bin", 0)):
        for more in ([], ["--all-versions"]):
            assert artifact(["verify", f"data:{path}", *more]) == code
            assert ("has nothing at" in capsys.readouterr().err) == bool(code)
        assert artifact(["ls", "-l", f"data:{path}"]) == code
        assert artifact(["get", f"data:{path}", str(tmp_path / "out")]) == code
        capsys.readouterr()
    for words in (["data", "nowhere"], ["data:sub/a.bin", "nowhere"], ["data", str(tmp_path / "out")]):
        assert artifact(["verify", *words]) == 2
    assert artifact(["verify", "data", str(tmp_path), "--all-versions"]) == 2


@pytest.mark.parametrize("path", ["../evil", "/evil", "x/../../evil", "a\\..\\evil", "", "a//b"])
def test_a_path_that_leads_elsewhere_is_not_written(faulty: Faulty, tmp_path: Path, path: str) -> None:
    faulty.path = path
    assert artifact(["get", "data", str(tmp_path / "out")]) == 1
    assert list(tmp_path.rglob("*evil*")) == []
    with pytest.raises(Fault):
        target_in(tmp_path, path)


@pytest.mark.parametrize(
    "path",
    [
        "C:x", "C:", "a/C:/x", "a.txt:stream", "a/nul", "NUL.txt", "Con", "lpt1.log", "COM\u00b9", "aux .c",
        "x.", "x /y", ".. ", "a/...", "conin$", "a\x01b", "a?", "a*", "a|b", "<a", 'a"b', "..", "a\\b", "/x",
        "\\\\host\\x",
    ],
)  # fmt: skip
def test_names_that_windows_takes_for_something_else_are_none_there(tmp_path: Path, path: str) -> None:
    with pytest.raises(Fault, match="nothing was written"):
        target_in(tmp_path, path, is_windows=True)


def test_other_names_are_good_everywhere(tmp_path: Path) -> None:
    for path in ("a", "a/b c.txt", ".x", "nullable", "com", "com12", "xcon/a.con", "ö/日本", "a..b", "$x~"):
        assert target_in(tmp_path, path, is_windows=True) == tmp_path / path
        assert target_in(tmp_path, path, is_windows=False) == tmp_path / path
    assert target_in(tmp_path, "12:30 what?", is_windows=False) == tmp_path / "12:30 what?"


@pytest.mark.parametrize("name", ["lab/..", "lab/.", "lab/", "lab/x/../..", "/etc", "x", 5, None])
def test_the_server_does_not_choose_the_folder(
    faulty: Faulty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: object
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    faulty.id = name
    code = artifact(["get", "lab/data"])
    found = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("a.bin")]
    assert (code, found) in ((0, ["here/data/a.bin"]), (1, []))
    for word in ("lab/..", "lab/."):
        assert artifact(["get", word]) == 1
    assert not (tmp_path / "a.bin").exists()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "in").mkdir()
    os.symlink(tmp_path / "away", tmp_path / "in/link")
    with pytest.raises(Fault, match="is a link"):
        target_in(tmp_path / "in", "link/file")
    with pytest.MonkeyPatch.context() as patch:  # as a junction, which is no link to Python
        patch.setattr(Path, "is_symlink", lambda path: False)
        with pytest.raises(Fault, match="leads out of"):
            target_in(tmp_path / "in", "link/file")


def test_wrong_arguments_are_told(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        ["ls", "../x"], ["ls", "a/b/c"], ["put", "/nowhere", "data"], ["ls", "data", "--jobs", "0"],
        ["ls", "data", "--server-url", "ftp://x"], ["ls", "data", "--token", "ä"], ["rm", "data"],
        ["rm", "a:x", "b:y"], ["rm", "data:x", "--artifact"], ["put", ".", "data", "--stage", "--name", "x"],
    ):  # fmt: skip
        assert artifact(words) == 2, words
        assert "hypha-server artifact: " in capsys.readouterr().err
    monkeypatch.delenv("HYPHA_SERVER_URL")
    assert artifact(["ls", "data"]) == 2
    assert "HYPHA_SERVER_URL" in capsys.readouterr().err
    for words in ([], ["fetch"], ["get"]):
        with pytest.raises(SystemExit) as ended:
            artifact(words)
        assert ended.value.code == 2
    for words in (["--help"], ["put", "--help"]):
        with pytest.raises(SystemExit) as ended:
            artifact(words)
        assert ended.value.code == 0
        assert "usage: hypha-server artifact" in capsys.readouterr().out


def test_the_page_names_what_there_is() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/artifacts.md").read_text()
    lines = re.findall(r"^hypha-server artifact (.+?)(?:  +#.*)?$", page, re.M)
    assert {artifact_parser().parse_args(shlex.split(line)).word for line in lines} == {
        "put", "get", "ls", "rm", "verify",
    }  # fmt: skip


def test_ctrl_c_ends_it_with_a_word(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hypha.cli.artifact.command.list_files", interrupted)
    assert artifact(["ls", "data"]) == 130
    assert "goes on where it stopped" in capsys.readouterr().err


def test_a_folder_is_walked_without_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "b/c/ö").write_text("1")
    (tmp_path / "a").write_text("")
    (tmp_path / "x.hypha-part").write_text("")
    os.symlink("a", tmp_path / "link")
    os.symlink("..", tmp_path / "b/loop")
    os.symlink("nothing", tmp_path / "broken")
    os.mkfifo(tmp_path / "pipe")
    plain = find_files(tmp_path, "in/", follow_links=False)
    assert [(file.path, file.size) for file in plain.files] == [("in/a", 0), ("in/b/c/ö", 1)]
    assert len(plain.left_out) == 6
    assert all(plain.kept(path) for path in ("in/x", "in/link", "in/b/loop/x/y", "in/pipe", "in/broken"))
    assert not any(plain.kept(path) for path in ("in/empty/x", "in/li", "in/b", "x", ""))
    followed = find_files(tmp_path, "", follow_links=True)
    assert [file.path for file in followed.files] == ["a", "b/c/ö", "link"]
    assert find_files(tmp_path / "a", "new", follow_links=False).files[0].path == "new"
    assert find_files(tmp_path / "a", "in/", follow_links=False).files[0].path == "in/a"


def test_faults_of_single_items_are_outcomes_and_those_of_all_end_it() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise Fault("three")
        return number

    outcomes = {each.item: each.error or each.result for each in in_parallel(work, range(6), 3)}
    assert (outcomes[5], str(outcomes[3])) == (5, "three")
    for error in (Unreachable("gone"), Stopped(), ZeroDivisionError()):

        def fail(number: int, error: Exception = error) -> int:
            raise error

        with pytest.raises(type(error)):
            list(in_parallel(fail, range(6), 3))
    assert list(in_parallel(work, [], 3)) == []


def test_a_bar_is_drawn_on_terminals_alone() -> None:
    stream = io.StringIO()
    bar = Bar(is_shown=True, stream=stream)
    bar.begin("sending", 2, 2000)
    bar.add(1000, 1)
    assert "sending [############............]  50% 1.0 kB of 2.0 kB" in stream.getvalue()
    bar.say("done")
    assert stream.getvalue().endswith("\r\x1b[Kdone\n")
    quiet = Bar(is_shown=False, stream=io.StringIO())
    quiet.begin("sending", 0, 0)
    quiet.add()
    assert (shown_size(12), shown_size(3.2e13), shown_name("a\x1b[2J\u202eb")) == (
        "12 B", "32.0 TB", "a\\x1b[2J\\u202eb",
    )  # fmt: skip
