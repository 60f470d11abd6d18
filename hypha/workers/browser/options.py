"""What a browser context is made with: the operator's `PLAYWRIGHT_…` variables, and what a manifest says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from hypha.workers.options import yes_or_no


def is_on(text: str) -> bool:
    """A variable that is on or off.

    Raises:
        ValueError: it is neither.
    """
    return yes_or_no(text.strip())


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _map(text: str) -> dict[str, str]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("give a JSON object")
    return {str(name): str(value) for name, value in found.items()}


_VARIABLES: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "BYPASS_CSP": ("bypass_csp", is_on),
    "IGNORE_HTTPS_ERRORS": ("ignore_https_errors", is_on),
    "ACCEPT_DOWNLOADS": ("accept_downloads", is_on),
    "PERMISSIONS": ("permissions", _words),
    "USER_AGENT": ("user_agent", str),
    "LOCALE": ("locale", str),
    "TIMEZONE_ID": ("timezone_id", str),
    "DEVICE_SCALE_FACTOR": ("device_scale_factor", float),
    "IS_MOBILE": ("is_mobile", is_on),
    "HAS_TOUCH": ("has_touch", is_on),
    "COLOR_SCHEME": ("color_scheme", str),
    "REDUCED_MOTION": ("reduced_motion", str),
    "JAVASCRIPT_ENABLED": ("java_script_enabled", is_on),
    "OFFLINE": ("offline", is_on),
    "EXTRA_HTTP_HEADERS": ("extra_http_headers", _map),
    "BASE_URL": ("base_url", str),
}
_GEOLOCATION = ("LATITUDE", "LONGITUDE", "ACCURACY")


def context_options(environment: Mapping[str, str], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for a new browser context; a manifest may add to what the operator has set.

    Raises:
        ValueError: a variable or a field has a value that cannot be read; it is named.
    """
    options: dict[str, Any] = {"viewport": _viewport(environment), "accept_downloads": False}
    for name, (option, read) in _VARIABLES.items():
        text = environment.get(f"PLAYWRIGHT_{name}")
        if text is not None:
            options[option] = _read(f"PLAYWRIGHT_{name}", text, read)
    place = {word.lower(): environment.get(f"PLAYWRIGHT_GEOLOCATION_{word}") for word in _GEOLOCATION}
    if place["latitude"] and place["longitude"]:
        options["geolocation"] = {
            name: _read(f"PLAYWRIGHT_GEOLOCATION_{name.upper()}", text, float)
            for name, text in place.items()
            if text
        }
    user = environment.get("PLAYWRIGHT_HTTP_USERNAME")
    if user:
        password = environment.get("PLAYWRIGHT_HTTP_PASSWORD", "")
        options["http_credentials"] = {"username": user, "password": password}
    return options | _of_manifest(manifest, options.get("extra_http_headers", {}))


def _of_manifest(manifest: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {
        name: True for name in ("bypass_csp", "ignore_https_errors") if manifest.get(name) is True
    }
    asked = manifest.get("extra_http_headers")
    if asked is not None and not isinstance(asked, Mapping):
        raise ValueError("extra_http_headers is an object of names and values.")
    merged = dict(headers) | {str(name): str(value) for name, value in (asked or {}).items()}
    return options | ({"extra_http_headers": merged} if merged else {})


def _viewport(environment: Mapping[str, str]) -> dict[str, int]:
    return {
        name: _read(f"PLAYWRIGHT_VIEWPORT_{name.upper()}", text, int)
        for name, text in (
            ("width", environment.get("PLAYWRIGHT_VIEWPORT_WIDTH", "1280")),
            ("height", environment.get("PLAYWRIGHT_VIEWPORT_HEIGHT", "720")),
        )
    }


def _read(name: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{name} cannot be read: {error}.") from None


_COOKIE_FIELDS = ("name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite", "url")


def cookies_of(manifest: Mapping[str, Any], target: str) -> list[dict[str, Any]]:
    """The cookies that an app asks for, for the host that it opens unless they name another.

    Raises:
        ValueError: they are neither an object nor a list of cookies.
    """
    asked = manifest.get("cookies") or []
    if isinstance(asked, Mapping):
        asked = [{"name": name, "value": value} for name, value in asked.items()]
    if not isinstance(asked, list) or not all(
        isinstance(each, Mapping) and each.get("name") for each in asked
    ):
        raise ValueError(
            "cookies is an object of names and values, or a list of cookies with name and value."
        )
    host = urlsplit(target).hostname or "localhost"
    found = []
    for each in asked:
        cookie = {name: each[name] for name in _COOKIE_FIELDS if each.get(name) is not None}
        cookie["name"], cookie["value"] = str(cookie["name"]), str(cookie.get("value", ""))
        if "url" not in cookie:
            cookie.setdefault("domain", host)
            cookie.setdefault("path", "/")
        found.append(cookie)
    return found


def storage_script(manifest: Mapping[str, Any], target: str) -> str | None:
    """A script that fills the storages of what is opened before its own scripts begin; None for none.

    Pages of other origins in its frames get nothing.

    Raises:
        ValueError: a storage is no object.
    """
    lines = []
    for field, storage in (("local_storage", "localStorage"), ("session_storage", "sessionStorage")):
        asked = manifest.get(field)
        if not asked:
            continue
        if not isinstance(asked, Mapping):
            raise ValueError(f"{field} is an object of names and values.")
        values = {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in asked.items()}
        lines.append(
            f"for (const [k, v] of Object.entries({json.dumps(values)})) "
            f"if ({storage}.getItem(k) === null) {storage}.setItem(k, v);"
        )
    if not lines:
        return None
    parts = urlsplit(target)
    here = json.dumps(f"{parts.scheme}://{parts.netloc}")
    return f"if (location.origin === new URL({here}).origin) {{\n" + "\n".join(lines) + "\n}"
