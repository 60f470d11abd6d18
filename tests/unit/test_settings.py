"""Options: flags, environment, precedence, refusals."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from hypha import configuration
from hypha.configuration import all_options, get_argparser, inactive_flags, load_settings
from hypha.errors import ConfigurationError
from hypha.options import FeatureOptions, describe, variable
from hypha.settings import Settings

STRONG = "7f3a9c5e1b8d4f60a2c7e9b3d5f1084c"


def load(*flags: str, **environment: str) -> tuple[Settings, list[str]]:
    return load_settings(get_argparser().parse_args(flags), environment)


def test_defaults_are_ours() -> None:
    settings, warnings = load()
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 9527, "./hypha-data")
    assert (settings.hold_time_s, settings.resume_window_s, settings.ws_msg_rate_limit) == (10.0, 90.0, 0.0)
    assert (settings.max_connections_per_user, settings.max_concurrent_connections) == (2000, 200)
    assert warnings == []


@pytest.mark.parametrize(
    "flags", [["--static-mounts", "/a:x", "/b:y"], ["--static-mounts", "/a:x", "--static-mounts", "/b:y"]]
)
def test_list_flags_take_several_values_and_repeat(flags: list[str]) -> None:
    assert load(*flags)[0].static_mounts == ("/a:x", "/b:y")


def test_list_variables_are_split_on_whitespace() -> None:
    settings, _ = load("--from-env", HYPHA_STATIC_MOUNTS=" /a:x  /b:y ")
    assert settings.static_mounts == ("/a:x", "/b:y")


def test_twins_are_read_only_on_request() -> None:
    assert load(HYPHA_PORT="9001")[0].port == 9527
    assert load("--from-env", HYPHA_PORT="9001")[0].port == 9001


@pytest.mark.spec("core-L3")
def test_a_given_flag_wins_over_its_twin_with_a_warning() -> None:
    settings, warnings = load("--from-env", "--port", "9000", HYPHA_PORT="9001")
    assert settings.port == 9000
    assert len(warnings) == 1 and "HYPHA_PORT" in warnings[0] and "--port" in warnings[0]


def test_a_twin_that_says_the_same_is_not_warned_about() -> None:
    assert load("--from-env", "--port", "9000", HYPHA_PORT="9000")[1] == []


def test_a_value_that_does_not_convert_is_skipped_with_a_warning() -> None:
    settings, warnings = load("--from-env", HYPHA_PORT="many", HYPHA_HOLD_TIME="soon")
    assert (settings.port, settings.hold_time_s) == (9527, 10.0)
    assert len(warnings) == 2 and "HYPHA_PORT" in warnings[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("1", True), ("YES", True), ("y", True), ("On", True), ("0", False), ("nope", False)],
)
def test_booleans_of_the_environment(text: str, expected: bool) -> None:
    assert load("--from-env", HYPHA_IN_DOCKER=text)[0].in_docker is expected


def test_variables_without_a_flag_are_always_read() -> None:
    settings, _ = load(HYPHA_WS_IDLE_TIMEOUT="2", HYPHA_LOGLEVEL="INFO", JWT_SECRET="second")
    assert (settings.ws_idle_timeout_s, settings.loglevel, settings.jwt_secret) == (2.0, "INFO", "second")
    assert load(HYPHA_JWT_SECRET="first", JWT_SECRET="second")[0].jwt_secret == "first"


def test_server_id_and_origins_have_variables_of_their_own() -> None:
    settings, _ = load("--allow-origins", "", HYPHA_SERVER_ID="north", ALLOW_ORIGINS="https://a.example")
    assert (settings.server_id, settings.allow_origins) == ("north", "https://a.example")


def test_a_program_may_set_the_namespace() -> None:
    arguments = get_argparser().parse_args([])
    arguments.port = 4000
    assert load_settings(arguments, {})[0].port == 4000


@pytest.mark.parametrize(
    ("flags", "nearest"), [(["--prot", "1"], "--port"), (["--statc-mounts=x"], "--static-mounts")]
)
def test_an_unknown_flag_is_refused_with_the_nearest_name(
    flags: list[str], nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        load(*flags)
    assert refused.value.code == 2
    assert f"did you mean {nearest}?" in capsys.readouterr().err


def test_flags_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load("--start-minio")
    assert "unknown flag --start-minio" in capsys.readouterr().err


@pytest.mark.spec("core-L4")
@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("short", "32 characters"),
        ("", "32 characters"),
        ("x" * 30 + "ADMIN" + "y" * 5, "guessable word 'admin'"),
    ],
)
def test_a_weak_root_token_is_refused(token: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        load("--root-token", token)


def test_strong_root_tokens_pass() -> None:
    assert load("--root-token", STRONG)[0].root_token == STRONG
    assert load("--root-token", "admin" + STRONG * 2)[0].root_token


def test_flags_of_later_features_give_one_warning_that_names_them() -> None:
    _, warnings = load("--enable-a2a", "--enable-mcp", "--reset-redis")
    assert len(warnings) == 1
    assert all(name in warnings[0] for name in ("--enable-a2a", "--enable-mcp", "--reset-redis"))


def test_every_feature_flag_of_a_later_version_is_known() -> None:
    flags = [option.flag for option in all_options() if option.is_flag]
    for name in ("enable-terminal-worker", "enable-a2a", "openai-api-key"):
        assert f"--{name}" in flags


@dataclass(frozen=True, kw_only=True, repr=False)
class LampOptions(FeatureOptions):
    """Lamps."""

    brightness: int = variable(3, "How bright it is", "LAMP_BRIGHTNESS")


def test_a_feature_asks_for_its_options_and_gets_its_defaults_where_none_were_read() -> None:
    assert Settings().of(LampOptions).brightness == 3
    assert Settings(of_features=(FeatureOptions(), LampOptions(brightness=7))).of(LampOptions).brightness == 7


def test_options_of_features_are_read_with_those_of_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "classes_of_features", lambda: [LampOptions])
    assert [option.name for option in all_options()][-1] == "brightness"
    settings, warnings = load(LAMP_BRIGHTNESS="9")
    assert (settings.of(LampOptions).brightness, warnings) == (9, [])
    settings, warnings = load(LAMP_BRIGHTNESS="bright")
    assert settings.of(LampOptions).brightness == 3 and "LAMP_BRIGHTNESS is skipped" in warnings[0]


@pytest.mark.parametrize(
    "flags",
    [
        ["--redis-uri", "memory"],
        ["--workers", "2"],
        ["--port", "70000"],
        ["--base-path", "/a/../b"],
    ],
)
def test_contradictions_are_refused(flags: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        load(*flags)


@pytest.mark.parametrize(
    ("given", "path"), [("/", ""), ("", ""), ("/my/engine", "/my/engine"), ("my/engine/", "/my/engine")]
)
def test_base_path_is_normalised(given: str, path: str) -> None:
    settings, _ = load("--base-path", given)
    assert settings.url_path == path
    assert settings.announced_base_url == f"http://127.0.0.1:9527{path}"


def test_the_public_url_is_announced_without_its_slash() -> None:
    assert load("--public-base-url", "https://hub.example/")[0].announced_base_url == "https://hub.example"


def test_every_option_has_help_and_a_unique_name() -> None:
    options = all_options()
    assert all(describe(option) for option in options)
    variables = [name for option in options for name in option.variables]
    assert len(variables) == len(set(variables))
    assert len(options) == len({option.name for option in options})
    assert not inactive_flags(Settings())


def test_settings_do_not_print_their_secrets() -> None:
    settings, _ = load("--root-token", STRONG)
    assert STRONG not in repr(settings) and STRONG not in str(settings)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['hypha', '--help']\n"
        "import hypha.server\n"
        "try: hypha.server.main()\nexcept SystemExit: pass\n"
        "heavy = {'uvicorn', 'starlette', 'sqlalchemy', 'pydantic', 'numpy', 'hypha_rpc', 'asyncio'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--static-mounts" in done.stdout


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e400", "1e16", "-0.1", "9" * 5000, "ten"])
def test_what_is_no_usable_number_is_skipped_with_a_sentence(text: str) -> None:
    settings, warnings = load(HYPHA_HOLD_TIME=text, HYPHA_MAX_BODY=text)
    assert (settings.hold_time_s, settings.max_body_bytes) == (
        Settings().hold_time_s,
        Settings().max_body_bytes,
    )
    assert all(" is skipped: " in warning and len(warning) < 150 for warning in warnings)
    assert len(warnings) == 2


@pytest.mark.parametrize("text", ["inf", "nan", "-1", "70000", "9" * 5000, "ten", "1.5", "８０８０x"])
def test_a_flag_that_is_no_usable_number_is_refused_in_one_sentence(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((SystemExit, ConfigurationError)) as refused:
        load(f"--port={text}")
    said = capsys.readouterr().err + str(refused.value)
    assert "--port" in said and "Traceback" not in said and len(said) < 300


def test_pauses_are_never_nothing_unless_that_switches_something_off() -> None:
    for name in ("HYPHA_ACK_INTERVAL", "ACTIVITY_CHECK_INTERVAL", "HYPHA_STREAM_PING_INTERVAL"):
        assert "is below 0.001" in load(**{name: "0"})[1][0]
    assert load(HYPHA_LOGIN_GUARD_INTERVAL="-1")[1] == []


@pytest.mark.parametrize(
    "url",
    [
        "hub.example.org",
        "hub.example.org:9527",
        "//hub.example.org",
        "https:",
        "https://",
        "https:///path",
        "ftp://hub.example.org",
        "https://hub.example.org:port",
        "https://hub.example.org:99999",
        "https://[::1",
        "https://anna@hub.example.org",
        "https://hub.example.org/?x=1",
        "https://hub.example.org/#x",
        "https://hub example.org",
        "https://hub.example.org\r\nX: y",
        " ",
    ],
)
def test_a_base_url_behind_which_no_path_can_stand_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--public-base-url must be a URL such as https://"):
        load("--public-base-url", url)


@pytest.mark.parametrize(
    "url", ["http://hub", "https://[::1]:9527/hypha/", "https://xn--caf-dma.example", "http://a_b.example:80"]
)
def test_a_base_url_with_scheme_and_host_passes(url: str) -> None:
    assert load("--public-base-url", url)[0].announced_base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "path", ["/a?b", "/a#b", "/{a}", "/%41", "/a b", "/a\nb", "/../a", "/日本", "/a//b", "/a\\b"]
)
def test_a_base_path_that_is_no_plain_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="--base-path must be a plain path"):
        load("--base-path", path)


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n"])
def test_a_root_token_or_secret_with_a_line_end_is_meant_without_it(end: str) -> None:
    assert load("--root-token", STRONG + end)[0].root_token == STRONG
    assert load("--from-env", HYPHA_ROOT_TOKEN=STRONG + end)[0].root_token == STRONG
    assert load(HYPHA_JWT_SECRET="secret\r\n")[0].jwt_secret == "secret"


def test_a_data_folder_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="--data-dir is empty"):
        load("--data-dir", " ")


def test_replicas_need_a_secret_that_they_share() -> None:
    with pytest.raises(ConfigurationError, match="HYPHA_JWT_SECRET"):
        load("--redis-uri", "redis://h/0")
    assert load("--redis-uri", "redis://h/0", HYPHA_JWT_SECRET="s")[0].redis_uri
