// Uploads: several at a time, with progress; paused, resumed, and gone on with after a reload.

import { Refusal, send } from "./api.js";
import { PAGE_HEADERS, token } from "./session.js";

const AT_ONCE = 3;
const SMALL_BYTES = 16 * 1024 * 1024;
const PART_BYTES = 8 * 1024 * 1024;
const MOST_PARTS = 1000;
const LIFE_S = 6 * 86400;

/**
 * The uploads to one target. A target has an `id`, `put(path)` for the address of a small file, and `begin(path, count,
 * life)` and `complete(path, id, parts)` for large ones in parts; it may have `abandon(path)`. `onChange()` is called when something happened, `onEnd()`
 * when nothing is left to do.
 */
export class Transfers {
  constructor(target, onChange, onEnd) {
    this.target = target;
    this.items = [];
    this.isPaused = false;
    this.onChange = onChange;
    this.onEnd = onEnd;
    this.key = `hypha.uploads.${target.id}`;
  }

  /** Files that a closed or reloaded page left half uploaded: [{path, size, sent}]. */
  unfinished() {
    const busy = new Set(this.items.map(({ path }) => path));
    return Object.entries(this.kept()).filter(([path]) => !busy.has(path)).map(([path, kept]) => ({ path, size: kept.size, sent: Math.min(kept.size, Object.keys(kept.done).length * kept.partBytes) }));
  }

  forget(path) {
    this.keep(path, null);
    this.onChange();
  }

  /** Upload files: [path, file]. One that was half uploaded goes on where it stopped. */
  add(files) {
    for (const [path, file] of files) {
      const before = this.items.find((item) => item.path === path && item.state !== "done");
      if (before) this.cancel(before);
      this.items.push({ path, file, size: file.size, sent: 0, state: "waiting", error: null, control: null });
    }
    this.pump();
  }

  pause() {
    this.isPaused = true;
    for (const item of this.items) if (item.state === "running") item.control.abort();
    this.onChange();
  }

  resume() {
    this.isPaused = false;
    for (const item of this.items) if (item.state === "paused" || item.state === "failed") item.state = "waiting";
    this.pump();
  }

  cancel(item) {
    const { control } = item;
    if (item.state !== "done" && this.target.abandon) this.target.abandon(item.path).catch(() => {});
    this.items = this.items.filter((other) => other !== item);
    this.keep(item.path, null);
    if (control) control.abort();
    this.pump();
  }

  clear() {
    this.items = this.items.filter(({ state }) => state !== "done");
    this.onChange();
  }

  count(...states) {
    return this.items.filter(({ state }) => states.includes(state)).length;
  }

  pump() {
    const waiting = this.items.filter(({ state }) => state === "waiting");
    const free = this.isPaused ? 0 : AT_ONCE - this.count("running");
    for (const item of waiting.slice(0, Math.max(0, free))) this.run(item);
    this.onChange();
  }

  async run(item) {
    item.state = "running";
    item.error = null;
    item.control = new AbortController();
    try {
      await (item.size > SMALL_BYTES ? this.inParts(item) : this.whole(item));
      item.state = "done";
      item.sent = item.size;
      this.keep(item.path, null);
    } catch (error) {
      item.state = item.control.signal.aborted ? "paused" : "failed";
      item.error = error;
    }
    item.control = null;
    this.pump();
    if (!this.count("running", "waiting")) this.onEnd();
  }

  async whole(item) {
    const headers = { ...PAGE_HEADERS, ...(token() ? { authorization: `Bearer ${token()}` } : {}) };
    await put(this.target.put(item.path), item.file, headers, item.control.signal, (sent) => this.progress(item, sent));
  }

  async inParts(item) {
    const kept = await this.begun(item);
    for (const { part_number: number, url } of kept.parts) {
      const start = (number - 1) * kept.partBytes;
      if (!kept.done[number]) {
        const part = item.file.slice(start, start + kept.partBytes);
        kept.done[number] = await put(ownAddress(url), part, {}, item.control.signal, (sent) => this.progress(item, start + sent));
        this.keep(item.path, kept);
      }
      this.progress(item, Math.min(item.size, start + kept.partBytes));
    }
    const parts = kept.parts.map(({ part_number: number }) => ({ part_number: number, etag: kept.done[number] }));
    try {
      await this.target.complete(item.path, kept.id, parts);
    } catch (error) {
      if (error.status && error.status < 500) this.keep(item.path, null); // it is over: the next attempt begins anew
      throw error;
    }
  }

  /** The upload in parts of a file: the one that was begun, else a new one. */
  async begun(item) {
    const found = this.kept()[item.path];
    const isSame = found && found.size === item.size && found.modified === item.file.lastModified && found.ends > Date.now();
    if (isSame) return found;
    const partBytes = Math.max(PART_BYTES, Math.ceil(item.size / MOST_PARTS));
    const { upload_id: id, parts } = await this.target.begin(item.path, Math.ceil(item.size / partBytes), LIFE_S);
    const kept = { id, parts, partBytes, size: item.size, modified: item.file.lastModified, ends: Date.now() + LIFE_S * 1000, done: {} };
    this.keep(item.path, kept);
    return kept;
  }

  progress(item, sent) {
    item.sent = sent;
    this.onChange();
  }

  kept() {
    try {
      return JSON.parse(localStorage.getItem(this.key)) || {};
    } catch {
      return {};
    }
  }

  keep(path, value) {
    const all = this.kept();
    if (value) all[path] = value;
    else delete all[path];
    try {
      if (Object.keys(all).length) localStorage.setItem(this.key, JSON.stringify(all));
      else localStorage.removeItem(this.key);
    } catch {
      // a full or forbidden store: the upload goes on, and begins anew after a reload
    }
  }
}

/** A signed address by the way on which this browser reached the server. */
export function ownAddress(url) {
  const { pathname, search } = new URL(url, location.href);
  return pathname.includes("/s3/") ? pathname + search : url;
}

/** Send bytes; gives their ETag. */
function put(address, body, headers, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    request.addEventListener("load", () => {
      if (request.status < 300) return resolve((request.getResponseHeader("etag") || "").replaceAll('"', ""));
      let told = {};
      try {
        told = JSON.parse(request.responseText);
      } catch {
        // not the server itself: the status says it
      }
      reject(new Refusal(told, request.status));
    });
    request.addEventListener("error", () => reject(new Refusal({ detail: "The server cannot be reached." }, 0)));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

/** Begin or complete an upload in parts by a route of the server. */
export const postJson = async (path, body) => (await send(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body || {}) })).json();
