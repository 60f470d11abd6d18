"""The arguments of `artifact`, and what each of its words does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hypha.cli.artifact.bar import Bar
from hypha.cli.artifact.faults import FAILED, INTERRUPTED, Fault, ServerFault, Stopped, UsageFault
from hypha.cli.artifact.getting import Getting, GetWish
from hypha.cli.artifact.looking import list_artifacts, list_files, remove_artifact, remove_files
from hypha.cli.artifact.putting import Putting, PutWish
from hypha.cli.artifact.remote import Named
from hypha.cli.artifact.server import HyphaServer
from hypha.cli.artifact.verifying import Verifying

MAX_JOBS = 32
DESCRIPTION = (
    "Move files between this machine and the artifacts of a Hypha server. An artifact is named alias or "
    "workspace/alias, a file in it alias:folder/file."
)
EPILOG = (
    "Whatever was interrupted goes on when the same command is run again. Exit codes: 0 done, 1 something "
    "failed or was refused, 2 wrong arguments, 3 the server does not answer, 4 files are damaged or differ, "
    "130 interrupted."
)


def artifact_parser() -> argparse.ArgumentParser:
    """The arguments of `artifact`."""
    parser = argparse.ArgumentParser(
        prog="hypha-server artifact", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False
    )
    words = parser.add_subparsers(dest="word", required=True, metavar="put|get|ls|rm|verify")
    common = _common()
    for add in (_add_put, _add_get, _add_ls, _add_rm, _add_verify):
        add(words, common)
    return parser


def _common() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--server-url", metavar="URL", help="the server (default: $HYPHA_SERVER_URL)")
    parser.add_argument("--token", help="who you are (default: $HYPHA_TOKEN; others see what stands here)")
    parser.add_argument(
        "--workspace", metavar="NAME", help="of artifacts named by their alias alone ($HYPHA_WORKSPACE)"
    )
    parser.add_argument("-j", "--jobs", type=int, default=4, metavar="N", help="files or parts at a time (4)")
    parser.add_argument(
        "--patience",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds to wait for a server that is away (60)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    return parser


def _add_put(
    words: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    text = (
        "Send a file or a folder, make the artifact if there is none, and commit. What is there is not sent."
    )
    parser = words.add_parser(
        "put", parents=[common], help="send files", description=text, allow_abbrev=False
    )
    parser.add_argument("source", type=Path, help="a file or a folder here")
    parser.add_argument("artifact", help="where to: alias, workspace/alias, or alias:folder/")
    parser.add_argument(
        "--new-version", action="store_true", help="make a new version instead of changing the latest"
    )
    parser.add_argument("--name", metavar="VERSION", help="the name of the new version")
    parser.add_argument("--comment", help="what is said of the version")
    parser.add_argument("--stage", action="store_true", help="don't commit")
    parser.add_argument(
        "--delete", action="store_true", help="with a folder: remove files that are there and not here"
    )
    parser.add_argument("--follow-links", action="store_true", help="send what symbolic links lead to")
    parser.add_argument(
        "--skip-refused-names", action="store_true", help="leave out files whose names the server refuses"
    )
    parser.add_argument(
        "--manifest", type=Path, metavar="FILE", help="manifest (JSON) of an artifact that is made"
    )
    parser.add_argument("--type", default="generic", help="its type (generic)")
    parser.add_argument("--parent", metavar="COLLECTION", help="the collection in which it is made")


def _add_get(
    words: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    text = "Bring an artifact, a folder or a file of it here. What is here is not brought again."
    parser = words.add_parser(
        "get", parents=[common], help="bring files here", description=text, allow_abbrev=False
    )
    parser.add_argument("artifact", help="alias, workspace/alias, or alias:path")
    parser.add_argument(
        "target", type=Path, nargs="?", help="a folder, or the name of one file (default: the alias)"
    )
    parser.add_argument("--version", metavar="NAME", help="the version (default: the latest)")


def _add_ls(
    words: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    text = "List the files of an artifact or of a folder in it; without one, the artifacts of a workspace."
    parser = words.add_parser("ls", parents=[common], help="list files", description=text, allow_abbrev=False)
    parser.add_argument("artifact", nargs="?", help="alias, workspace/alias, or alias:folder")
    parser.add_argument("-l", "--long", action="store_true", help="with sizes, times and digests")
    parser.add_argument("-r", "--recursive", action="store_true", help="with all that is in folders")
    parser.add_argument("--version", metavar="NAME", help="the version (default: the latest)")


def _add_rm(
    words: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    text = (
        "Remove files from an artifact and commit; or delete all of it (--artifact) or a version (--version)."
    )
    parser = words.add_parser(
        "rm", parents=[common], help="remove files", description=text, allow_abbrev=False
    )
    parser.add_argument("artifact", nargs="+", help="alias:path, several of one artifact; or an artifact")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="folders; with --artifact a collection"
    )
    parser.add_argument("--stage", action="store_true", help="don't commit")
    parser.add_argument(
        "--artifact", dest="whole", action="store_true", help="delete the artifact with all versions"
    )
    parser.add_argument("--version", metavar="NAME", help="delete this version")


def _add_verify(
    words: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    text = (
        "Let the server read an artifact and name files whose bytes are no longer what was committed; with a "
        "folder, compare that with the artifact."
    )
    parser = words.add_parser(
        "verify", parents=[common], help="find damaged files", description=text, allow_abbrev=False
    )
    parser.add_argument("artifact", help="alias, workspace/alias, or alias:path")
    parser.add_argument("folder", type=Path, nargs="?", help="a folder or file here, to be compared")
    parser.add_argument("--version", metavar="NAME", help="the version (default: the latest)")
    parser.add_argument("--all-versions", action="store_true", help="all versions")


def artifact(argv: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    arguments = artifact_parser().parse_args(argv)
    bar = Bar(is_shown=not arguments.quiet and sys.stderr.isatty())
    server: HyphaServer | None = None
    try:
        server = _server(arguments)
        return _run(arguments, server, bar)
    except Fault as error:
        bar.say(f"hypha-server artifact: {_explained(error)}")
        return error.exit_code
    except (KeyboardInterrupt, Stopped):
        if server is not None:
            server.stopped.set()
        bar.say("")  # behind what the terminal shows of Ctrl-C
        bar.say("hypha-server artifact: interrupted; the same command goes on where it stopped")
        return INTERRUPTED
    except BrokenPipeError:  # as with `| head`
        return FAILED
    except OSError as error:
        bar.say(f"hypha-server artifact: {error}")
        return FAILED
    finally:
        bar.clear()


def _server(arguments: argparse.Namespace) -> HyphaServer:
    url = arguments.server_url or os.environ.get("HYPHA_SERVER_URL")
    if not url:
        raise UsageFault("no server: give --server-url, or set HYPHA_SERVER_URL")
    if not 1 <= arguments.jobs <= MAX_JOBS:
        raise UsageFault(f"--jobs is 1 to {MAX_JOBS}")
    token = arguments.token or os.environ.get("HYPHA_TOKEN") or None
    if token and not (token.isascii() and token.isprintable()):
        raise UsageFault("the token has characters that no token has")
    return HyphaServer(url, token, max(0.0, arguments.patience))


def _run(arguments: argparse.Namespace, server: HyphaServer, bar: Bar) -> int:
    workspace = arguments.workspace or os.environ.get("HYPHA_WORKSPACE") or None
    word = arguments.word
    if word == "rm":
        return _remove(arguments, server, bar, workspace)
    if word == "ls" and (not arguments.artifact or _is_workspace(arguments.artifact)):
        return list_artifacts(server, (arguments.artifact or "").rstrip("/") or workspace)
    named = _named(arguments.artifact, workspace)
    if word == "put":
        return Putting(server, bar, _put_wish(arguments, named)).run()
    if word == "get":
        return Getting(server, bar, GetWish(named, arguments.target, arguments.jobs, arguments.version)).run()
    if word == "ls":
        return list_files(server, named, arguments.version, long=arguments.long, deep=arguments.recursive)
    verifying = Verifying(server, bar)
    if arguments.folder is not None and arguments.all_versions:
        raise UsageFault("a folder here is compared with one version: leave out --all-versions")
    if arguments.folder is not None:
        return verifying.compare(named, arguments.version, arguments.folder)
    return verifying.run(named, arguments.version, all_versions=arguments.all_versions)


def _remove(arguments: argparse.Namespace, server: HyphaServer, bar: Bar, workspace: str | None) -> int:
    named = [_named(each, workspace) for each in arguments.artifact]
    if not arguments.whole and arguments.version is None:
        return remove_files(server, bar, named, deep=arguments.recursive, stage=arguments.stage)
    if len(named) > 1 or (arguments.whole and arguments.version):
        raise UsageFault("one artifact at a time: with --artifact all of it, with --version one version")
    return remove_artifact(server, bar, named[0], arguments.version, deep=arguments.recursive)


def _put_wish(arguments: argparse.Namespace, named: Named) -> PutWish:
    if arguments.name and arguments.stage:
        raise UsageFault("--name is for the commit, which --stage leaves out")
    return PutWish(
        arguments.source, named, arguments.jobs, arguments.new_version or bool(arguments.name),
        arguments.name, arguments.comment, arguments.stage, arguments.delete, arguments.follow_links,
        arguments.skip_refused_names, arguments.manifest, arguments.type, arguments.parent,
    )  # fmt: skip


def _named(text: str, workspace: str | None) -> Named:
    named = Named.parse(text)
    if workspace and "/" not in named.artifact:
        return Named(f"{workspace}/{named.artifact}", named.path)
    return named


def _is_workspace(text: str) -> bool:
    return text.endswith("/") and ":" not in text


def _explained(error: Fault) -> str:
    if isinstance(error, ServerFault) and error.status == 403:
        return f"{error} (is the token set, and for this workspace?)"
    return str(error)
