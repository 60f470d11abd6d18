"""What browsers and programs send, whoever caused it: sample requests for docs and tests.

`REQUESTS` names how a request came; the headers are those of today's browsers, which send `Sec-Fetch-…`
to HTTPS and to this machine. `{own}` stands for the
origin of the server, `{elsewhere}` for another one, `{mount}` for the path of the application asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PAGE_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
IMAGE_ACCEPT = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
_CHROME = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/150.0.0.0 Safari/537.36",
    "accept": "*/*",
    "accept-language": "de,en;q=0.9",
}
_STEP = {**_CHROME, "accept": PAGE_ACCEPT, "upgrade-insecure-requests": "1"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One way in which a request comes."""

    headers: Mapping[str, str]
    method: str = "GET"

    def sent(self, own: str, mount: str, elsewhere: str = "https://elsewhere.example") -> dict[str, str]:
        """The headers for a server at the origin `own`."""
        values = {"own": own, "mount": mount, "elsewhere": elsewhere}
        return {name: text.format_map(values) for name, text in self.headers.items()}


def _step(site: str, dest: str = "document", **more: str) -> dict[str, str]:
    """A navigation, as browsers tell of it to HTTPS and to this machine."""
    fetch = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": dest}
    return {**_STEP, **fetch, **_named(more)}


def _part(site: str, mode: str, dest: str, **more: str) -> dict[str, str]:
    """What a page loads, or its scripts ask for."""
    fetch = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    accept = {"accept": IMAGE_ACCEPT} if dest == "image" else {}
    return {**_CHROME, **accept, **fetch, **_named(more)}


def _named(fields: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in fields.items()}


INSIDE = "{own}{mount}page"
CONSOLE = "{own}/public/"

REQUESTS: dict[str, Sample] = {
    "a program": Sample({"user-agent": "curl/8.5.0", "accept": "*/*"}),
    "a program, posting JSON": Sample({"user-agent": "python-httpx/0.28", "accept": "*/*"}, "POST"),
    "a program that asks for another method": Sample(
        {"user-agent": "curl/8.5.0", "accept": "*/*", "x-http-method-override": "DELETE"}, "POST"
    ),
    "a script of the server's own pages": Sample(
        _part("same-origin", "cors", "empty", referer=CONSOLE, x_hypha_page="1")
    ),
    "a script of the server's own pages, posting": Sample(
        _part("same-origin", "cors", "empty", origin="{own}", x_hypha_page="1"), "POST"
    ),
    "a script of the server's own pages, without HTTPS": Sample(
        {**_CHROME, "x-hypha-page": "1", "referer": CONSOLE}
    ),
    "a script of the server's own pages, without HTTPS, posting": Sample(
        {**_CHROME, "x-hypha-page": "1", "origin": "{own}"}, "POST"
    ),
    "any other script of this origin, or a preload": Sample(
        _part("same-origin", "cors", "empty", referer=CONSOLE)
    ),
    "any other script of this origin, posting": Sample(
        _part("same-origin", "cors", "empty", origin="{own}", referer=CONSOLE), "POST"
    ),
    "any other script of this origin, without HTTPS": Sample({**_CHROME, "referer": CONSOLE}),
    "the address bar, a bookmark, a link in a letter": Sample(_step("none", sec_fetch_user="?1")),
    "the address bar, without HTTPS": Sample(_STEP),
    "the address bar, to be prepared only": Sample(_step("none", sec_purpose="prefetch;prerender")),
    "a link of this origin, or the end of a sign-in": Sample(_step("same-origin", referer=CONSOLE)),
    "a link of this origin, without HTTPS": Sample({**_STEP, "referer": CONSOLE}),
    "a link of another site": Sample(_step("cross-site")),
    "a link of another host of the domain": Sample(_step("same-site", referer="{elsewhere}/")),
    "a link of another site, without HTTPS and referrer": Sample({**_STEP, "sec-gpc": "1"}),
    "a redirect that another site began": Sample(_step("cross-site", referer=CONSOLE)),
    "a frame in a page of this origin": Sample(_step("same-origin", "iframe", referer=CONSOLE)),
    "a frame in another site": Sample(_step("cross-site", "iframe")),
    "a frame in another host, without HTTPS and referrer": Sample({**_STEP, "accept": PAGE_ACCEPT}),
    "an object or embed": Sample(_step("same-site", "object", referer="{elsewhere}/")),
    "a form of this origin": Sample(_step("same-origin", origin="{own}", referer=CONSOLE), "POST"),
    "a form of another site": Sample(_step("cross-site", origin="{elsewhere}"), "POST"),
    "a form of another site, without HTTPS and referrer": Sample({**_STEP, "origin": "null"}, "POST"),
    "an image in a page of this origin": Sample(_part("same-origin", "no-cors", "image", referer=CONSOLE)),
    "an image in another site": Sample(_part("cross-site", "no-cors", "image")),
    "an image in another host, without HTTPS and referrer": Sample({**_CHROME, "accept": IMAGE_ACCEPT}),
    "a style or script in another host": Sample(_part("same-site", "no-cors", "script")),
    "a script of another site": Sample(_part("cross-site", "cors", "empty", origin="{elsewhere}")),
    "a script of another site, posting": Sample(
        _part("cross-site", "cors", "empty", origin="{elsewhere}"), "POST"
    ),
    "a script of another host, without CORS": Sample(_part("same-site", "no-cors", "empty"), "POST"),
    "a script of another host, without HTTPS": Sample({**_CHROME, "origin": "{elsewhere}"}, "POST"),
    "a script of another host, without HTTPS, with the header of our pages": Sample(
        {**_CHROME, "origin": "{elsewhere}", "x-hypha-page": "1"}, "POST"
    ),
    "a script of an application in the sandbox": Sample(_part("cross-site", "cors", "empty", origin="null")),
    "a script of an application in the sandbox, without HTTPS": Sample({**_CHROME, "origin": "null"}, "POST"),
    "a link of the application itself": Sample(_step("same-origin", referer=INSIDE)),
    "an image of the application itself": Sample(_part("same-origin", "no-cors", "image", referer=INSIDE)),
    "a form of the application itself": Sample(_step("same-origin", origin="{own}", referer=INSIDE), "POST"),
    "a script of the application itself, without HTTPS": Sample({**_CHROME, "referer": INSIDE}),
}

SOCKETS: dict[str, Sample] = {
    "a program": Sample({"user-agent": "Python/3.13 websockets/15.0"}),
    "a page of this origin": Sample(
        {**_CHROME, "origin": "{own}", "sec-fetch-site": "same-origin", "sec-fetch-mode": "websocket"}
    ),
    "a page of this origin, without HTTPS": Sample({**_CHROME, "origin": "{own}"}),
    "a page of another site": Sample(
        {**_CHROME, "origin": "{elsewhere}", "sec-fetch-site": "cross-site", "sec-fetch-mode": "websocket"}
    ),
    "a page of another host, without HTTPS": Sample({**_CHROME, "origin": "{elsewhere}"}),
    "a page of an application in the sandbox": Sample({**_CHROME, "origin": "null"}),
}
"""The same for the handshakes of WebSockets."""
