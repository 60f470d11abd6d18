// Bytes and JSON on their way to the server or to the storage behind it.

import { reachedUrl, Refusal, send } from "./api.js";

/** What a function is told that gives signed addresses: through this server, as this browser reached it. The page may
 * load nothing from elsewhere, wherever files lie. */
export const HERE = { use_proxy: true, use_local_url: reachedUrl };

/** The same in the query of a route. */
export const IN_QUERY = new URLSearchParams(HERE).toString();

/** Send bytes; gives their ETag. */
export function put(address, body, headers, signal, onProgress) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open("PUT", address);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    request.addEventListener("load", () => {
      if (request.status < 300) return resolve((request.getResponseHeader("etag") || "").replaceAll('"', ""));
      reject(new Refusal(toldBy(request), request.status));
    });
    request.addEventListener("error", () => reject(new Refusal({ detail: "The server cannot be reached." }, 0)));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

/** What a refusal says: JSON, or XML from signed addresses; nothing where it is not the server's own. */
function toldBy(request) {
  try {
    const [message] = new DOMParser().parseFromString(request.responseText, "application/xml").getElementsByTagName("Message");
    return message ? { detail: message.textContent } : JSON.parse(request.responseText);
  } catch {
    return {};
  }
}

/** Begin or complete an upload in parts by a route of the server. */
export const postJson = async (path, body) => (await send(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body || {}) })).json();
