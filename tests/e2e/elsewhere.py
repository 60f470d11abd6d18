"""Other web sites: pages on origins that are not the server's, and what they can make a browser do."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from hypha.testing.server import free_port

PAGE = b"<!doctype html><title>elsewhere</title><body>"
LAB_HOSTS = (
    "--host-resolver-rules=MAP *.test 127.0.0.1 , MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)
"""Names without HTTPS, to which browsers send no `Sec-Fetch-…`: `hub.test` and its siblings."""

HELPERS = """
const add = (tag, properties, place = document.body) => {
  const element = Object.assign(document.createElement(tag), properties);
  place.append(element);
  return element;
};
const form = (method) => {
  const target = new URL(url);
  const made = add("form", {method, action: method === "get" ? target.origin + target.pathname : url});
  for (const [name, value] of target.searchParams) add("input", {name, value}, made);
  setTimeout(() => made.submit());
};
const top_ = document.head, nothing = new Blob(["{}"]);
"""
WAYS = {
    "link": "const a = add('a', {href: url}); setTimeout(() => a.click());",
    "link without referrer": (
        "const a = add('a', {href: url, rel: 'noreferrer'}); setTimeout(() => a.click());"
    ),
    "assignment": "setTimeout(() => location.assign(url));",
    "refresh": "add('meta', {httpEquiv: 'refresh', content: `0;url=${url}`}, document.head);",
    "form GET": "form('get');",
    "form POST": "form('post');",
    "image": "new Image().src = url;",
    "image without referrer": "add('img', {referrerPolicy: 'no-referrer', src: url});",
    "image with CORS": "add('img', {crossOrigin: 'use-credentials', src: url});",
    "frame": "add('iframe', {src: url});",
    "frame without referrer": "add('iframe', {referrerPolicy: 'no-referrer', src: url});",
    "object": "add('object', {data: url});",
    "script": "add('script', {src: url});",
    "style": "add('link', {rel: 'stylesheet', href: url}, document.head);",
    "preload": (
        "add('link', {rel: 'preload', as: 'fetch', crossOrigin: 'use-credentials', href: url}, top_);"
    ),
    "fetch without CORS": "fetch(url, {mode: 'no-cors', credentials: 'include'}).catch(() => {});",
    "fetch with CORS": "fetch(url, {credentials: 'include'}).catch(() => {});",
    "fetch POST": ("fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include', body: nothing});"),
    "beacon": "navigator.sendBeacon(url, nothing);",
}
"""Scripts that make the browser ask for `url`."""


class Elsewhere:
    """A web server that has one empty page at every address."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _Page)
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("referrer-policy", "unsafe-url")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:
        pass
