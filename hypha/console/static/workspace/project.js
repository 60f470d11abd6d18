// An app that is being written: its files as they are edited, and how they become the app.
//
// A plugin or the script of a page is installed anew, since its page is made of it. Files of all other apps are written one by one.

/** The entry of the list in which the manifest is edited. */
export const MANIFEST = "+manifest";
/** In this file the text is that an app is made of. */
export const SOURCE = "source";
const MOST_CHARS = 1024 * 1024;
/** Fields of a manifest that the server writes. */
export const OF_SERVER = ["id", "services", "service_ids", "source_hash", "startup_context"];
const STARTUP = ["timeout", "wait_for_service", "additional_kwargs", "stop_after_inactive"];
const MARKS = ["daemon", "singleton", "disabled"];

export const without = (map, keys) => Object.fromEntries(Object.entries(map).filter(([key]) => !keys.includes(key)));

/** One app, as it is edited. */
export class Project {
  constructor(controller, { id, name, type, way, manifest, isDraft = true, isNew = true }) {
    Object.assign(this, { controller, id, name: typeof name === "string" && name ? name : id, type, way, manifest, isDraft, isNew, current: SOURCE });
    /** By path: `{path, text, saved, size, isMade}`; `text` is null until it is read, `saved` null as long as the server does not have it. */
    this.documents = new Map();
    this.removed = new Set();
  }

  put(path, text, saved = null) {
    this.documents.set(path, { path, text, saved, size: text.length, isMade: false });
  }

  /** Whether an install makes the file, out of the source. */
  isMade(path) {
    if (this.way === "files") return false;
    return path === "index.html" || (this.way === "plugin" && (/^main\.(py|js|txt)$/.test(path) || this.declares(path)));
  }

  declares(path) {
    const source = this.documents.get(SOURCE)?.text || "";
    return [...source.matchAll(/<file\b[^>]*\bname\s*=\s*["']([^"']+)["']/gi)].some((found) => found[1] === path);
  }

  isChanged() {
    return this.removed.size > 0 || [...this.documents.values()].some((each) => each.text !== null && each.text !== each.saved);
  }

  /** Whether somebody wrote something that the server does not have: a template as it is would be no loss. */
  isWritten() {
    const isAsItWas = this.template !== undefined && !this.id && this.documents.size === 1 && this.documents.get(SOURCE)?.text === this.template;
    return this.isChanged() && !isAsItWas;
  }

  /** The text of a file, read if need be. */
  async text(path) {
    const entry = this.documents.get(path);
    if (entry.text === null) {
      if (entry.size > MOST_CHARS) throw new Error("It is too large to be edited here: open it among the artifacts.");
      const text = await this.controller.call("read_file", { app_id: this.id, file_path: path, stage: this.isDraft });
      if (entry.text === null) entry.text = entry.saved = text;
    }
    return entry.text;
  }

  add(path) {
    if (!/^[^/\\]+(\/[^/\\]+)*$/.test(path) || path.split("/").some((part) => part === "." || part === "..") || path.startsWith("+")) throw new Error("That is no path of a file.");
    if (this.documents.has(path)) throw new Error("There is a file of this name.");
    this.put(path, "");
    this.removed.delete(path);
    this.current = path;
  }

  remove(path) {
    if (this.documents.get(path).saved !== null || this.documents.get(path).text === null) this.removed.add(path);
    this.documents.delete(path);
    if (this.current === path) this.current = [...this.documents.keys()][0] || "";
  }

  /** Keep it on the server as a draft, which nobody else gets yet. */
  async save(onStep) {
    const texts = new Map([...this.documents].map(([path, { text }]) => [path, text]));
    if (this.way === "files") await this.writeFiles(onStep);
    else await this.stageAnew(onStep);
    for (const [path, entry] of this.documents) if (texts.get(path) !== null && texts.has(path)) entry.saved = texts.get(path);
    this.removed.clear();
    this.isDraft = true;
  }

  async writeFiles(onStep) {
    const app_id = this.id;
    const said = this.documents.get(MANIFEST);
    const change = said.text === said.saved ? {} : { manifest: changesOf(this.manifest, parsed(said.text)) };
    await this.controller.call("edit_app", { app_id, ...change });
    for (const { path, text, saved } of this.documents.values()) {
      if (path === MANIFEST || text === null || text === saved) continue;
      onStep({ type: "info", message: `Writing ${path}` });
      await this.controller.call("edit_file", { app_id, file_path: path, file_content: text });
    }
    for (const path of this.removed) {
      onStep({ type: "info", message: `Removing ${path}` });
      await this.controller.call("remove_file", { app_id, file_path: path });
    }
    if (change.manifest) this.manifest = { ...this.manifest, ...change.manifest };
  }

  async stageAnew(onStep) {
    const source = this.documents.get(SOURCE).text;
    const manifest = this.way === "script" ? without({ ...parsed(this.documents.get(MANIFEST).text) }, [...OF_SERVER, "entry_point"]) : null;
    const marks = Object.fromEntries(MARKS.filter((key) => this.manifest[key] === true).map((key) => [key, true]));
    const made = await this.controller.call("install", {
      source, stage: true, overwrite: !this.isFirst(), ...(this.id || this.wanted ? { app_id: this.id || this.wanted } : {}),
      ...(manifest ? { manifest } : { ...this.startup(source), ...(Object.keys(marks).length ? { manifest: { name: this.name, type: this.type, version: "0.1.0", ...marks } } : {}) }),
      files: await this.otherFiles(),
    }, onStep);
    Object.assign(this, { id: made.id, name: made.name || made.id, type: made.type, manifest: made });
    this.wasSaved = true;
  }

  /** Whether the server knows nothing of it yet. */
  isFirst() {
    return this.isNew && !this.wasSaved && !Object.keys(this.manifest).length;
  }

  /** How it was said to be started when it was installed, as far as the source does not say that itself. */
  startup(source) {
    const said = this.manifest.startup_config || {};
    return Object.fromEntries(STARTUP.filter((key) => said[key] !== undefined && !source.includes(key)).map((key) => [key, said[key]]));
  }

  async otherFiles() {
    const files = [];
    for (const entry of this.documents.values()) {
      if (entry.path === SOURCE || entry.path === MANIFEST || this.isMade(entry.path)) continue;
      if (entry.text !== null) files.push({ path: entry.path, content: entry.text, format: "text" });
      else files.push({ path: entry.path, format: "base64", content: await this.controller.call("read_file", { app_id: this.id, file_path: entry.path, format: "binary", stage: this.isDraft }) });
    }
    return files;
  }

  /** Save it, try it, and let all use it. */
  async install(onStep) {
    if (this.isChanged() || !this.id) await this.save(onStep);
    await this.controller.call("commit_app", { app_id: this.id }, onStep);
    Object.assign(this, { isDraft: false, isNew: false });
  }
}

function parsed(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new Error(`The manifest is no JSON: ${error.message}`);
  }
  if (!found || typeof found !== "object" || Array.isArray(found)) throw new Error("The manifest is an object.");
  return found;
}

/** Fields that are others now; null for those that are no more. */
function changesOf(before, after) {
  const gone = Object.keys(before).filter((key) => !OF_SERVER.includes(key) && !(key in after));
  return { ...without(after, OF_SERVER), ...Object.fromEntries(gone.map((key) => [key, null])) };
}
