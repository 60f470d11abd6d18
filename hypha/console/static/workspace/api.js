// Requests to this server on behalf of whoever is signed in.

import { token } from "./session.js";

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
  const headers = { accept: "application/json", ...options.headers };
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

/** Call a function with named arguments; gives the response. */
export function callFunction(address, name, args, signal) {
  return send(servicePath(address, name), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(args),
    signal,
  });
}

/** Call a function of the workspace manager; gives its result. */
export const manager = async (name, args = {}) => (await callFunction("ws", name, args)).json();

/** Items of a stream of server-sent events, as they come. */
export async function* streamItems(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
      const parts = text.split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const line = part.replace(/^data: /, "");
        if (line === "[DONE]") return;
        yield JSON.parse(line);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Let a link to JSON of this server carry the token, which a plain link cannot. */
export function withToken(link) {
  link.addEventListener("click", async (event) => {
    if (!token() || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const answer = await send(link.pathname.slice(basePath.length)).catch(() => null);
    if (!answer) return void location.assign(link.href);
    const text = JSON.stringify(await answer.json(), null, 2);
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    window.open(url, "_blank");
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  });
  return link;
}
