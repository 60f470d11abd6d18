// Uploads: several at a time, with progress; paused, resumed, and gone on with after a reload.

import { put } from "./sending.js";
import { Unfinished } from "./unfinished.js";

const AT_ONCE = 3;
const SMALL_BYTES = 16 * 1024 * 1024;
const PART_BYTES = 8 * 1024 * 1024;
const MOST_PARTS = 1000;
const LIFE_S = 6 * 86400;
const OVER = new Set([400, 403, 404, 409, 422]); // what was begun can never be completed

/**
 * The uploads to one target. A target has an `id`, `put(path)` for address and headers of a small file, and `begin(path,
 * count, life)`, `resume(path, id, count, life)` and `complete(path, id, parts)` for large ones in parts; it may have
 * `abandon(path, id)`, which gives up what has not come; `id` is that of the upload in parts, if one was begun.
 * `onChange()` is called when something happened, `onEnd()` when nothing is left to do.
 */
export class Transfers {
  constructor(target, onChange, onEnd) {
    this.target = target;
    this.items = [];
    this.isPaused = false;
    this.onChange = onChange;
    this.onEnd = onEnd;
    this.kept = new Unfinished(target.id);
  }

  /** Files that a closed or reloaded page left half uploaded: [{path, size, sent}]. */
  unfinished() {
    const busy = new Set(this.items.map(({ path }) => path));
    return [...this.kept.all()].filter(([path]) => !busy.has(path)).map(([path, kept]) => ({ path, size: kept.size, sent: Math.min(kept.size, Object.keys(kept.done).length * kept.partBytes) }));
  }

  async forget(path) {
    const id = this.kept.get(path)?.id;
    this.kept.remove(path);
    this.onChange();
    await this.abandon(path, id);
    this.onEnd();
  }

  /** Upload files: [path, file]. One that was half uploaded goes on where it stopped. */
  add(files) {
    const open = new Map(this.items.filter(({ state }) => state !== "done").map((item) => [item.path, item]));
    const gone = new Set();
    for (const [path, file] of files) {
      const before = open.get(path);
      if (before) gone.add(before);
      const item = { path, file, size: file.size, sent: 0, state: "waiting", error: null, control: null, work: null, hasBegun: false, upload: null };
      item.before = before ? this.takeBack(before) : null;
      this.items.push(item);
      open.set(path, item);
    }
    this.items = this.items.filter((item) => !gone.has(item));
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
    this.items = this.items.filter((other) => other !== item);
    const end = this.takeBack(item).then(() => this.count("running", "waiting") || this.onEnd());
    this.pump();
    return end;
  }

  /** Stop an upload and let the server forget it; settles when that is done. */
  async takeBack(item) {
    item.isGone = true;
    const before = this.kept.get(item.path)?.id; // of an earlier visit, if it has not gone on with that
    this.kept.remove(item.path);
    if (item.control) item.control.abort();
    await item.before;
    await item.work; // what is on its way may still be noted by the server
    const id = item.upload || before;
    if ((item.hasBegun || id) && item.state !== "done") await this.abandon(item.path, id);
  }

  /** What cannot be told the server now ends there by itself. */
  async abandon(path, id) {
    try {
      await this.target.abandon?.(path, id);
    } catch {
      // it may be over
    }
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
    for (const item of waiting.slice(0, Math.max(0, free))) item.work = this.run(item);
    this.onChange();
  }

  async run(item) {
    item.state = "running";
    item.error = null;
    item.control = new AbortController();
    try {
      await item.before; // of the same path
      item.control.signal.throwIfAborted();
      item.hasBegun = true;
      await (item.size > SMALL_BYTES ? this.inParts(item) : this.whole(item));
      item.state = "done";
      item.sent = item.size;
      if (!item.isGone) this.kept.remove(item.path);
    } catch (error) {
      item.state = item.control.signal.aborted ? "paused" : "failed";
      item.error = error;
      if (OVER.has(error.status) && !item.isGone) this.kept.remove(item.path); // the next attempt begins anew
    }
    item.control = null;
    this.pump();
    if (!this.count("running", "waiting")) this.onEnd();
  }

  async whole(item) {
    const { address, headers = {} } = await this.target.put(item.path);
    await put(address, item.file, headers, item.control.signal, (sent) => this.progress(item, sent));
  }

  async inParts(item) {
    const [kept, addresses] = await this.begun(item);
    item.upload = kept.id;
    for (const { part_number: number, url } of addresses) {
      const start = (number - 1) * kept.partBytes;
      if (!kept.done[number]) {
        const part = item.file.slice(start, start + kept.partBytes);
        kept.done[number] = await put(url, part, {}, item.control.signal, (sent) => this.progress(item, start + sent));
        if (!item.isGone) this.kept.set(item.path, kept);
      }
      this.progress(item, Math.min(item.size, start + kept.partBytes));
    }
    const parts = addresses.map(({ part_number: number }) => ({ part_number: number, etag: kept.done[number] }));
    await this.target.complete(item.path, kept.id, parts);
  }

  /** The upload in parts of a file and the addresses of its parts: the one that was begun, else a new one. */
  async begun(item) {
    const found = this.kept.get(item.path);
    if (found && found.size === item.size && found.modified === item.file.lastModified && found.ends > Date.now()) {
      const again = await this.target.resume(item.path, found.id, found.count, LIFE_S).catch((error) => {
        if (!OVER.has(error.status)) throw error;
      });
      if (again) return [{ ...found, done: stillThere(found, again.parts) }, again.parts];
    }
    const partBytes = Math.max(PART_BYTES, Math.ceil(item.size / MOST_PARTS));
    const count = Math.ceil(item.size / partBytes);
    const { upload_id: id, parts } = await this.target.begin(item.path, count, LIFE_S);
    const kept = { id, count, partBytes, size: item.size, modified: item.file.lastModified, ends: Date.now() + LIFE_S * 1000, done: {} };
    if (!item.isGone) this.kept.set(item.path, kept);
    return [kept, parts];
  }

  progress(item, sent) {
    item.sent = sent;
    this.onChange();
  }
}

/** Of the parts that were sent those that the server has as they were. */
function stillThere({ done }, parts) {
  return Object.fromEntries(parts.filter(({ part_number: number, etag }) => etag && done[number] === etag).map(({ part_number: number, etag }) => [number, etag]));
}
