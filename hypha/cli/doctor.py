"""`doctor`: reads the settings as a start would, and says what is risky on the internet and what is broken.

Nothing is made, changed or printed that a server keeps secret.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from hypha.assembly.features import listed_features
from hypha.cli.environment import nearest_env_file, values_in
from hypha.cli.exposure import examine
from hypha.cli.surroundings import (
    look_at_database,
    look_at_folder,
    look_at_limits,
    look_at_parts,
    look_at_port,
    look_at_variables,
)
from hypha.configuration import all_options, get_argparser, load_settings, values_of
from hypha.errors import ConfigurationError
from hypha.findings import Finding, Findings, Grade, broken, note, risky, without, worst
from hypha.options import given_names
from hypha.settings import Settings

DESCRIPTION = (
    "Say what is risky for a server on the internet with these settings, and what is broken. Takes the flags "
    "of the server; without any, it reads the HYPHA_... variables. Exit code: 0 nothing, 1 risky, 2 broken."
)


def doctor(argv: Sequence[str]) -> int:
    """Run the command; prints one sentence per finding and returns the exit code."""
    parser = get_argparser()
    parser.prog, parser.description, parser.epilog = "python -m hypha.server doctor", DESCRIPTION, None
    arguments = parser.parse_args(argv)
    arguments.from_env = arguments.from_env or not argv
    findings = sorted(diagnose(arguments, os.environ), key=lambda finding: -finding.grade)
    for finding in findings:
        print(finding)
    counts = [sum(finding.grade is grade for finding in findings) for grade in (Grade.BROKEN, Grade.RISKY)]
    print(f"\n{counts[0]} broken, {counts[1]} risky. What to set on the internet: docs/security.md")
    return worst(findings).exit_code


def diagnose(arguments: argparse.Namespace, environment: Mapping[str, str]) -> list[Finding]:
    """All findings for parsed flags, an environment, and the `.env` file that a start would read."""
    env_file = nearest_env_file()
    try:
        environment = {**(values_in(env_file) if env_file else {}), **environment}
        settings, warnings = load_settings(arguments, environment)
    except ConfigurationError as error:
        return [without(broken(str(error)), _secrets_of(environment))]
    found = [*_told(warnings), *_all(settings)]
    given = given_names(arguments, all_options())
    found += look_at_variables(environment, given, use_twins=bool(arguments.from_env), env_file=env_file)
    hidden = [*_secrets_in(settings), *_secrets_of(environment)]
    return [without(finding, hidden) for finding in found]


def _told(warnings: Sequence[str]) -> Findings:
    """What a start would write into its log."""
    return (risky(text) if " is skipped: " in text else note(text) for text in warnings)


def _all(settings: Settings) -> Iterator[Finding]:
    features = listed_features()
    by_role = any(feature.makes_administrators(settings) for feature in features)
    has_admin, found = asyncio.run(
        look_at_database(
            settings, lambda database: any(feature.has_administrator(database) for feature in features)
        )
    )
    yield from examine(settings, has_admin=by_role or has_admin)
    for feature in features:
        yield from feature.examine(settings)
    yield from look_at_parts(settings)
    yield from look_at_folder(settings)
    yield from found
    yield from look_at_port(settings)
    yield from look_at_limits()


def _secrets_in(settings: Settings) -> Iterator[str]:
    for option, value in values_of(settings):
        if option.is_secret and isinstance(value, str) and value != option.default:
            yield value
    for uri in (settings.database_uri, settings.redis_uri):
        try:
            yield urlsplit(uri or "").password or ""
        except ValueError:
            continue


def _secrets_of(environment: Mapping[str, str]) -> Iterator[str]:
    for option in all_options():
        if option.is_secret:
            yield from (environment.get(name, "") for name in (option.twin, *option.variables))
