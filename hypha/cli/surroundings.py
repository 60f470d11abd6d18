"""What `doctor` looks at around the settings: files, the database, the port, limits of the system.

Nothing is made or changed.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from hypha.assembly.web import kept_words
from hypha.cli.exposure import weakness
from hypha.cli.listener import bind
from hypha.configuration import all_options
from hypha.datafolder import MEMORY, check_folder
from hypha.errors import BackendUnavailable, ConfigurationError
from hypha.findings import Findings, broken, note, refusals, risky
from hypha.gateways.http.static import mount_routes, parse_mount
from hypha.settings import Settings
from hypha.store.engines import is_memory, parse_uri
from hypha.store.looking import Question, look, look_into_file
from hypha.transports.descriptors import raise_limit
from hypha.web.apps_origin import AppsOrigin

ENOUGH_DESCRIPTORS = 4096
LITTLE_SPACE_BYTES = 1024**3
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_STRANGERS = stat.S_IRWXO
_NEAR = 0.88


def folder_of(settings: Settings) -> Path | None:
    """The data folder; None when nothing is kept."""
    return None if settings.data_dir == MEMORY else Path(settings.data_dir).expanduser().absolute()


def look_at_variables(
    environment: Mapping[str, str], given: set[str], *, use_twins: bool, env_file: Path | None
) -> Findings:
    """Variables that have no effect although somebody set them, and who may read them."""
    options = all_options()
    known = {name for option in options for name in (option.twin, *option.variables)}
    for name in sorted(name for name in environment if name.startswith("HYPHA_") and name not in known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
        if near and environment[name]:
            yield risky(f"{name} is no option and has no effect: did you mean {near[0]}?")
    for option in options:
        if option.is_secret and option.is_flag and option.name in given and not option.feature:
            yield note(
                f"{option.flag} on a command line is seen by other users of this machine: give it as "
                f"{option.twin} with --from-env, from a file that only the server's user reads"
            )
        is_unread = option.is_flag and option.twin not in option.variables and not use_twins
        if is_unread and environment.get(option.twin) and option.name not in given:
            yield note(
                f"{option.twin} is set and not read: beside flags it needs --from-env, or give {option.flag}"
            )
    if env_file is not None and os.name == "posix" and _mode(env_file) & _STRANGERS:
        yield risky(f"{env_file} can be read or written by every user of this machine: chmod 640 {env_file}")


def look_at_parts(settings: Settings) -> Findings:
    """Settings that a part of the server would refuse when it is built."""
    yield from refusals(lambda: mount_routes(settings.static_mounts, kept_words()))
    if settings.apps_origin:
        origin = settings.apps_origin
        yield from refusals(lambda: AppsOrigin(origin, settings.announced_base_url))
    yield from _startup_files(settings)


def _startup_files(settings: Settings) -> Findings:
    for uri in settings.startup_functions:
        file = Path(uri.rpartition(":")[0]).expanduser()
        if file.suffix != ".py":
            continue
        if not file.is_file():
            yield broken(f"--startup-functions: the file {file} does not exist")
        elif os.name == "posix" and _mode(file) & stat.S_IWOTH:
            yield risky(
                f"{file} runs inside the server and every user of this machine may write it: chmod o-w"
            )


def look_at_folder(settings: Settings) -> Findings:
    """The data folder: usable, private, with room, outside of what is served."""
    path = folder_of(settings)
    if path is None:
        return
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield broken(f"--data-dir {path}: {place} is no folder that this user can write in; choose another")
        return
    if shutil.disk_usage(place).free < LITTLE_SPACE_BYTES:
        yield risky(f"--data-dir {path}: less than 1 GiB is free there; make room or choose another disk")
    for point, folder in _mounts(settings):
        if path.is_relative_to(folder.absolute()):
            yield broken(
                f"--static-mounts {point} serves the data folder with its secrets: mount another folder"
            )
    if place != path:
        yield note(f"--data-dir {path} will be made at the first start")
        return
    yield from _privacy(path)
    key = path / "secrets" / "jwt"
    if not settings.jwt_secret and key.is_file() and os.access(key, os.R_OK):
        if why := weakness(key.read_text().strip()):
            yield risky(
                f"the signing key in {key} {why}: stop the server and delete the file; all sign in anew"
            )


def _mounts(settings: Settings) -> Iterator[tuple[str, Path]]:
    for mount in settings.static_mounts:
        with contextlib.suppress(ConfigurationError, FileNotFoundError):
            yield parse_mount(mount)


def _privacy(path: Path) -> Findings:
    if os.name != "posix":
        return
    files = [path, path / "secrets", *sorted((path / "secrets").glob("*")), path / "deployment.json"]
    files += sorted(path.glob("hypha.sqlite*"))
    shown = [file for file in files if file.exists() and _mode(file) & _OTHERS]
    if path in shown or any(_mode(path) & _OTHERS for _ in shown):
        yield risky(f"the data folder {path} is open to other users of this machine: chmod -R go-rwx {path}")
    elif shown:  # nobody can reach them yet
        yield note(f"files in {path} would be open to others if the folder were: chmod -R go-rwx {path}")
    owner = path.stat().st_uid
    if owner != os.geteuid():
        yield note(
            f"{path} belongs to user {owner}, not to the one who asks: run doctor as the server's user"
        )


def _mode(path: Path) -> int:
    return path.stat().st_mode


def look_at_port(settings: Settings) -> Findings:
    """Whether the port is free, and whether a server runs with the data folder."""
    path, running = folder_of(settings), None
    if path is not None and path.is_dir():
        try:
            running = check_folder(path)
        except ConfigurationError as error:
            yield broken(str(error))
    if running is not None:
        yield note(f"{running} runs with this data folder: settings count from its next start")
        return
    try:
        bind(settings.host, settings.port).close()
    except ConfigurationError as error:
        yield broken(str(error))


def look_at_limits() -> Findings:
    """How many connections there is room for, and as whom the server runs."""
    descriptors = raise_limit()
    if descriptors < ENOUGH_DESCRIPTORS:
        yield risky(
            f"ulimit -n: {descriptors} open files at most, three quarters of them connections: raise the "
            "hard limit to 65536 (LimitNOFILE= in a unit of systemd, --ulimit nofile= for a container)"
        )
    if os.name == "posix" and os.geteuid() == 0:
        yield note("this is the system's root user: run the server as a user of its own")


async def look_at_database(settings: Settings, question: Question) -> tuple[bool | None, Findings]:
    """What the database answers (None: it is not known), and what was found."""
    try:
        if settings.database_uri:
            url = parse_uri(settings.database_uri)
            if url.get_backend_name() != "sqlite":
                return await look(settings.database_uri, question), iter(())
            file = None if is_memory(url) else Path(url.database or "")
        else:
            folder = folder_of(settings)
            file = None if folder is None else folder / "hypha.sqlite"
        return _look_at_file(file, question, must_be_there=bool(settings.database_uri)), iter(())
    except BackendUnavailable:
        return None, iter(
            [broken("--database-uri: the database does not answer; start it, or correct the URI")]
        )
    except ConfigurationError as error:
        return None, iter([broken(str(error))])


def _look_at_file(file: Path | None, question: Question, *, must_be_there: bool) -> bool | None:
    if file is None or str(file).startswith("file:"):
        return None if file else False
    if not file.exists():
        if must_be_there and not file.parent.is_dir():
            raise ConfigurationError(f"The folder of the database does not exist: {file.parent}")
        return False
    if not os.access(file, os.R_OK | os.W_OK):
        raise ConfigurationError(f"The database {file} cannot be read and written by this user: chown it")
    return look_into_file(file, question)
