// Requests to this server on behalf of whoever is signed in.

import { Incomplete, Unpacker } from "./msgpack.js";
import { PAGE_HEADERS, token } from "./session.js";

export const basePath = document.body.dataset.basePath;
export const reachedUrl = location.origin + basePath;
export const workspace = decodeURIComponent(location.pathname.slice(basePath.length).split("/")[1]);

/** The address to show in examples: the announced one, unless this browser came another way. */
export const shownUrl = (() => {
  const announced = document.body.dataset.baseUrl;
  return !announced || /^https?:\/\/(127\.0\.0\.1|localhost)\b/.test(announced) ? reachedUrl : announced;
})();

/** What the server said when it refused: `message` for people, `code` for programs. */
export class Refusal extends Error {
  constructor(body, status) {
    super(body.detail || `The server answered ${status}.`);
    this.code = body.code || "";
    this.hint = body.hint || "";
    this.status = status;
    this.requestId = body.request_id || "";
  }
}

/** Send a request; gives the response, or throws a Refusal. */
export async function send(path, options = {}) {
  const headers = { accept: "application/json", ...PAGE_HEADERS, ...options.headers };
  const bearer = token();
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  let answer;
  try {
    answer = await fetch(basePath + path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal({ detail: "The server cannot be reached.", code: "unreachable" }, 0);
  }
  if (!answer.ok) throw new Refusal(await answer.json().catch(() => ({})), answer.status);
  return answer;
}

export const getJson = async (path) => (await send(path)).json();

export const servicePath = (address, name) =>
  `/${encodeURIComponent(workspace)}/services/${encodeURIComponent(address).replace("%3A", ":")}/${encodeURIComponent(name)}`;

/** Call a function with named arguments; gives the response, for `valueOf` or `itemsOf`. */
export function callFunction(address, name, args, signal) {
  return send(servicePath(address, name), {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/msgpack" },
    body: JSON.stringify(args),
    signal,
  });
}

/** Call a function of a service that the server itself has for everybody; gives its result. */
export async function callPublic(service, name, args) {
  const headers = { "content-type": "application/json", accept: "application/msgpack" };
  return valueOf(await send(`/public/services/${service}/${name}`, { method: "POST", headers, body: JSON.stringify(args) }));
}

/** Call a function of the workspace manager; gives its result. */
export const manager = async (name, args = {}) => valueOf(await callFunction("ws", name, args));

/** True if a function answers with items, one after another. */
export const isStream = (answer) => answer.headers.get("x-accel-buffering") === "no";

/** The value of an answer. */
export const valueOf = async (answer) => new Unpacker(new Uint8Array(await answer.arrayBuffer())).next();

/** Items of a stream, as they come. */
export async function* itemsOf(answer) {
  const reader = answer.body.getReader();
  const unpacker = new Unpacker();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      unpacker.feed(value);
      yield* complete(unpacker);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function* complete(unpacker) {
  for (;;) {
    try {
      yield unpacker.next();
    } catch (error) {
      if (error instanceof Incomplete) return;
      throw error;
    }
  }
}

/** Let a link to JSON of this server carry the token or session, which a plain link cannot. */
export function withToken(link) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    const answer = await send(link.pathname.slice(basePath.length)).catch(() => null);
    if (!answer) return void window.open(link.href, "_blank");
    const text = JSON.stringify(await answer.json(), null, 2);
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    window.open(url, "_blank");
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  });
  return link;
}
