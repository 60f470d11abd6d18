"""`generate-token`: mint a token without a running server, with its signing secret."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypha.cli.environment import load_env_file
from hypha.configuration import load_settings
from hypha.errors import ConfigurationError
from hypha.options import MOST, OptionParser
from hypha.settings import Settings

LEVELS = ("read", "read_write", "admin")


def token_parser() -> argparse.ArgumentParser:
    """The arguments of `generate-token`."""
    parser = OptionParser(
        prog="python -m hypha generate-token",
        description="Mint a token offline. Needs the server's signing secret: HYPHA_JWT_SECRET, JWT_SECRET, "
        "or the server's data folder.",
        allow_abbrev=False,
    )
    parser.add_argument("--user-id", help="user that the token stands for (default: anonymous-<random>)")
    parser.add_argument("--workspace", help="workspace of the token (default: ws-user-<user id>)")
    parser.add_argument("--permission", choices=LEVELS, default="read_write", help="level in that workspace")
    parser.add_argument("--expires-in", type=float, default=3600, metavar="S", help="life in seconds (3600)")
    parser.add_argument("--client-id", help="bind the token to one client id")
    parser.add_argument("--role", action="append", help="role of the user, repeatable (default: anonymous)")
    parser.add_argument("--email", help="e-mail address of the user")
    parser.add_argument(
        "--scope", action="append", metavar="WORKSPACE#LEVEL", help="further workspace and level, repeatable"
    )
    parser.add_argument("--data-dir", help="data folder of the server, for its secret (./hypha-data)")
    return parser


def generate_token(argv: Sequence[str]) -> int:
    """Run the command; prints the token and returns the exit code."""
    arguments = token_parser().parse_args(argv)
    try:
        load_env_file()
        settings, _ = load_settings()
    except ConfigurationError as error:
        print(f"hypha: {error}", file=sys.stderr)
        return 1
    secret = _signing_secret(settings, arguments.data_dir or os.environ.get("HYPHA_DATA_DIR"))
    if secret is None:
        print(
            "hypha: no signing secret: set HYPHA_JWT_SECRET, or name the server's folder with --data-dir",
            file=sys.stderr,
        )
        return 1
    try:
        user_id, workspace, scopes = _rights(arguments)
    except ValueError as error:
        print(f"hypha: {error}", file=sys.stderr)
        return 2
    token = _mint(settings, secret, arguments, user_id, workspace, scopes)
    print(f"Generated token for user '{user_id}':")
    print(f"  Workspace: {workspace}")
    print(f"  Permissions: {', '.join(f'{name}#{level}' for name, level in scopes.items())}")
    print(f"  Roles: {', '.join(arguments.role or ['anonymous'])}")
    print(f"  Expires in: {arguments.expires_in:g} seconds")
    if arguments.client_id:
        print(f"  Client: {arguments.client_id}")
    if arguments.email:
        print(f"  E-mail: {arguments.email}")
    print("\nToken:")
    print(token, flush=True)
    if getattr(sys.stdout, "has_lost", False):
        print("hypha: the token could not be written to the standard output", file=sys.stderr)
        return 1
    return 0


def _signing_secret(settings: Settings, data_dir: str | None) -> str | None:
    if settings.jwt_secret:
        return settings.jwt_secret
    try:
        file = Path(data_dir or settings.data_dir).expanduser() / "secrets" / "jwt"
        return file.read_text().strip() or None
    except (OSError, RuntimeError, ValueError):  # no such home, or no text
        return None


def _rights(arguments: argparse.Namespace) -> tuple[str, str, Mapping[str, str]]:
    from hypha.ids import readable_id

    user_id = arguments.user_id or f"anonymous-{readable_id()}"
    workspace = arguments.workspace or f"ws-user-{user_id}"
    scopes = {workspace: arguments.permission}
    for scope in arguments.scope or ():
        name, separator, level = scope.rpartition("#")
        if not separator or not name or level not in (*LEVELS, "r", "rw", "a"):
            raise ValueError(
                f"--scope must be WORKSPACE#LEVEL with a level of {', '.join(LEVELS)}: {scope!r}"
            )
        scopes[name] = level
    if not 0 < arguments.expires_in <= MOST:
        raise ValueError(f"--expires-in must be above 0 and at most {MOST:g}")
    return user_id, workspace, scopes


def _mint(
    settings: Settings,
    secret: str,
    arguments: argparse.Namespace,
    user_id: str,
    workspace: str,
    scopes: Mapping[str, str],
) -> str:
    from hypha.auth.scopes import Scope
    from hypha.auth.tokens import TokenAuthority
    from hypha.auth.users import User

    words = [f"ws:{name}#{level}" for name, level in scopes.items()]
    words += [f"cid:{arguments.client_id}"] if arguments.client_id else []
    scope = Scope.from_claim(" ".join([*words, f"wid:{workspace}"]))
    roles = tuple(arguments.role or ["anonymous"])
    user = User(user_id, roles, "anonymous" in roles, email=arguments.email, scope=scope)
    authority = TokenAuthority(
        secret,
        issuer=settings.auth0_issuer,
        audience=settings.auth0_audience,
        namespace=settings.auth0_namespace,
    )
    return authority.mint(user, arguments.expires_in)
