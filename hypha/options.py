"""Options: one declared field each; command line, environment and docs are made from it.

A settings class is a frozen dataclass whose fields come from `flag` (a command-line flag, with the
environment twin `HYPHA_<FLAG>` that is read only on request) or `variable` (only from the
environment, always read). This module knows no single option: `hypha.settings` declares the core's, each
feature its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn, TypeVar, get_args, get_type_hints

T = TypeVar("T")

MOST = 1e15
"""The largest number that an option takes: what is said to be without end goes on long enough."""
TRUE_WORDS = frozenset({"true", "1", "yes", "y", "on"})
_SHOWN_CHARS = 60
_OPTION = "option"
_GIVEN = "_given"


class FeatureOptions:
    """The options of one feature: a frozen dataclass in the `options.py` of its folder.

    `ALL_ON` are the flags without which a part of it is not there: what shows all functions gives them.
    """

    ALL_ON: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Refuse options that contradict each other or would open access.

        Raises:
            ConfigurationError: with the sentence for the user.
        """

    @property
    def lets_sign_in(self) -> bool:
        """Whether people can sign in by what is configured here."""
        return False


@dataclass(frozen=True)
class Option:
    """What is declared about one option, beside its name, type and default."""

    help: str
    unit: str = ""
    section: str = ""
    variables: tuple[str, ...] = ()
    is_flag: bool = False
    is_secret: bool = False
    choices: tuple[str, ...] = ()
    feature: str = ""
    least: float = 0
    name: str = ""
    kind: type = str
    is_optional: bool = False
    default: Any = None

    @property
    def flag(self) -> str:
        """The command-line flag, such as `--enable-s3`."""
        return "--" + self.name.replace("_", "-")

    @property
    def twin(self) -> str:
        """The environment variable that stands for the flag."""
        return "HYPHA_" + self.name.upper()


def flag(
    default: T,
    help_text: str,
    *,
    unit: str = "",
    choices: Sequence[str] = (),
    feature: str = "",
    also: Sequence[str] = (),
    secret: bool = False,
) -> T:
    """Declare an option with a flag.

    `feature` names what the flag belongs to when that is not active in this version. `also` are
    variables that are read when the flag is not given, `HYPHA_…` twins or not.
    """
    option = Option(
        help_text,
        unit,
        variables=tuple(also),
        is_flag=True,
        is_secret=secret,
        choices=tuple(choices),
        feature=feature,
    )
    return _field(default, option)


def variable(
    default: T,
    help_text: str,
    *names: str,
    unit: str = "",
    feature: str = "",
    secret: bool = False,
    least: float = 0,
) -> T:
    """Declare an option that is read from the first of the named environment variables that is set.

    `least` is the smallest number that it may be.
    """
    is_secret = secret or any(word in name for name in names for word in ("SECRET", "KEY", "PASSWORD"))
    option = Option(help_text, unit, variables=names, is_secret=is_secret, feature=feature, least=least)
    return _field(default, option)


def _field(default: T, option: Option) -> T:
    made: T = field(default=default, metadata={_OPTION: option})
    return made


def options_of(settings_class: type) -> list[Option]:
    """All options of a settings class, in the order of their declaration."""
    hints = get_type_hints(settings_class)
    sections = _sections(settings_class)
    found = []
    for each in dataclasses.fields(settings_class):
        if _OPTION not in each.metadata:
            continue
        hint = hints[each.name]
        is_optional = type(None) in get_args(hint)
        kind = next(a for a in get_args(hint) if a is not type(None)) if is_optional else hint
        found.append(
            dataclasses.replace(
                each.metadata[_OPTION],
                name=each.name,
                kind=tuple if getattr(kind, "__origin__", kind) is tuple else kind,
                is_optional=is_optional,
                default=each.default,
                section=sections[each.name],
            )
        )
    return found


def _sections(settings_class: type) -> dict[str, str]:
    """Option name -> first docstring line of the class that declares it, in reading order."""
    sections: dict[str, str] = {}
    for base in settings_class.__mro__:
        title = (base.__doc__ or "").splitlines()[0].rstrip(".") if base.__doc__ else base.__name__
        for name in getattr(base, "__annotations__", {}):
            sections.setdefault(name, title)
    return sections


class _Given(argparse.Action):
    """Stores a value and remembers that the flag was given; lists grow with each use."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        flag: str | None = None,
    ) -> None:
        given: set[str] = set(getattr(namespace, _GIVEN, ()))
        if self.nargs == 0:
            values = True
        elif self.nargs == "*":
            values = [*(getattr(namespace, self.dest) if self.dest in given else ()), *values]
        setattr(namespace, self.dest, values)
        setattr(namespace, _GIVEN, given | {self.dest})


class OptionParser(argparse.ArgumentParser):
    """An argument parser that names the nearest flag for one that it doesn't know."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all arguments; an unknown one ends the program with exit code 2."""
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(self._unknown_text(unknown[0]))
        return known

    def _unknown_text(self, word: str) -> str:
        name = word.split("=", 1)[0]
        if not name.startswith("-"):
            return f"unexpected argument {word!r}; --help lists all flags"
        near = difflib.get_close_matches(name, self._option_string_actions, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "--help lists all flags"
        return f"unknown flag {name}: {hint}"

    def error(self, message: str) -> NoReturn:
        """Print one sentence, without the long usage, and end with exit code 2."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def build_parser(options: Sequence[Option], prog: str, description: str) -> argparse.ArgumentParser:
    """Make the argument parser of all flags, grouped by section."""
    parser = OptionParser(
        prog=prog, usage="%(prog)s [--flag value ...]", description=description, allow_abbrev=False
    )
    groups: dict[str, Any] = {}
    for option in options:
        if not option.is_flag:
            continue
        if option.section not in groups:
            groups[option.section] = parser.add_argument_group(option.section)
        _add_flag(groups[option.section], option)
    return parser


def _add_flag(group: Any, option: Option) -> None:
    text = describe(option).replace("%", "%%")
    if option.kind is bool:
        group.add_argument(
            option.flag, dest=option.name, action=_Given, nargs=0, default=option.default, help=text
        )
        return
    is_list = option.kind is tuple
    group.add_argument(
        option.flag,
        dest=option.name,
        action=_Given,
        nargs="*" if is_list else None,
        type=str if is_list else functools.partial(_value_of_flag, option),
        choices=option.choices or None,
        default=list(option.default) if is_list else option.default,
        metavar=None if option.choices else option.unit.upper() or option.name.rsplit("_", 1)[-1].upper(),
        help=text,
    )


def describe(option: Option) -> str:
    """Help text with unit and default."""
    text = option.help
    shown = shown_default(option)
    if option.kind is not bool and shown:
        text += f" (default: {shown})"
    if option.feature:
        text += " [not active in this version]"
    return text


def shown_default(option: Option) -> str:
    """The default as a person writes it, with its unit; empty when there is none."""
    if option.default is None or option.default == "" or option.default == ():
        return ""
    if option.kind is bool:
        return "on" if option.default else "off"
    value = f"{option.default:g}" if isinstance(option.default, float) else str(option.default)
    return f"{value} {option.unit}".strip()


def given_names(arguments: argparse.Namespace, options: Sequence[Option]) -> set[str]:
    """Names of the options that were given, or set on the namespace by a program."""
    given = set(getattr(arguments, _GIVEN, ()))
    for option in options:
        value = getattr(arguments, option.name, option.default)
        if option.is_flag and (tuple(value) if isinstance(value, list) else value) != option.default:
            given.add(option.name)
    return given


def convert(option: Option, text: str) -> Any:
    """The value of a text from the environment.

    Raises:
        ValueError: the text is not of the option's type, or not one of its choices.
    """
    if option.kind is bool:
        return text.strip().lower() in TRUE_WORDS
    if option.kind is tuple:
        return tuple(text.split())
    if option.choices and text not in option.choices:
        raise ValueError(f"must be one of {', '.join(option.choices)}")
    if option.kind is str:
        return text.strip("\r\n") if option.is_secret else text
    return _number(option, text)


def _number(option: Option, text: str) -> Any:
    """A finite number within the bounds of the option.

    Raises:
        ValueError: it is none; the text says why.
    """
    shown = repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…")
    try:
        value = option.kind(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown} is not {_article(option.kind)}") from None
    if not math.isfinite(value) or value > MOST:
        raise ValueError(f"{shown} is not {_article(option.kind)} up to {MOST:g}")
    if value < option.least:
        raise ValueError(f"{shown} is below {option.least:g}")
    return value


def _value_of_flag(option: Option, text: str) -> Any:
    """The same for the command line, where choices are looked at later."""
    try:
        return text if option.kind is str else _number(option, text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_options(
    settings_class: type[T], arguments: argparse.Namespace, environment: Mapping[str, str], *, use_twins: bool
) -> tuple[T, list[str]]:
    """Make the settings from parsed flags and the environment, with warnings for the log.

    A given flag wins over its twin; a value that does not convert is skipped. Both are warned about.
    """
    options = options_of(settings_class)
    given = given_names(arguments, options)
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for option in options:
        names = ((option.twin,) if option.is_flag and use_twins else ()) + option.variables
        name = next((n for n in names if environment.get(n)), None)
        if option.name in given and not (names and getattr(arguments, option.name) == ""):
            values[option.name] = _from_namespace(option, arguments)
            if use_twins and environment.get(option.twin):
                _warn_ignored(option, environment[option.twin], values[option.name], warnings)
        elif name is not None:
            _take(option, name, environment[name], values, warnings)
    return settings_class(**values), warnings


def _from_namespace(option: Option, arguments: argparse.Namespace) -> Any:
    value = getattr(arguments, option.name)
    return tuple(value) if option.kind is tuple and value is not None else value


def _take(option: Option, name: str, text: str, values: dict[str, Any], warnings: list[str]) -> None:
    try:
        values[option.name] = convert(option, text)
    except ValueError as error:
        warnings.append(f"{name} is skipped: {error}")


def _warn_ignored(option: Option, text: str, value: Any, warnings: list[str]) -> None:
    try:
        if convert(option, text) == value:
            return
    except ValueError:
        pass
    warnings.append(f"{option.twin} is ignored: {option.flag} is given on the command line")


def _article(kind: type) -> str:
    return {int: "an integer", float: "a number"}.get(kind, f"a {kind.__name__}")
