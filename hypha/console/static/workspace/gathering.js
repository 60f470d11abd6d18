// Files that somebody chose or dropped, as an app: what is its program, and of which type.

import { splitPath, sizeText } from "./words.js";

export const MOST_BYTES = 32 * 1024 * 1024;
const MOST_FILES = 5000;
const PLUGIN = /\.(imjoy|hypha)\.html$/i;
const SKIPPED = /(^|\/)(\.git|\.DS_Store|node_modules|__pycache__)(\/|$)/;
// what is begun with, the first that is there
const ENTRIES = [[/^index\.html?$/i, "window"], [/^main\.py$/, "python-eval"], [/^main\.js$/, "web-worker"], [/\.html?$/i, "window"], [/\.py$/, "python-eval"], [/\.js$/, "web-worker"]];

/**
 * What chosen files are: `{files: [[path, file]], plugin, manifest, entries}`. `plugin` is the path of a file that is an app by itself; `manifest`
 * is what `manifest.json` among them says, with what follows from the names; `entries` are paths that can be the program.
 */
export async function gathered(chosen) {
  const files = withoutTop(chosen.filter(([path]) => !SKIPPED.test(path)));
  const size = files.reduce((sum, [, file]) => sum + file.size, 0);
  if (!files.length) throw new Error("There is no file in it.");
  if (files.length > MOST_FILES) throw new Error(`It has ${files.length} files: an app is installed with ${MOST_FILES} at most.`);
  if (size > MOST_BYTES) throw new Error(`It has ${sizeText(size)}: an app is installed with ${sizeText(MOST_BYTES)} at most. Put larger files into its artifact later.`);
  const paths = files.map(([path]) => path);
  const plugin = paths.find((path) => PLUGIN.test(path) && !path.includes("/")) || "";
  const said = await manifestOf(files);
  const top = paths.filter((path) => !path.includes("/"));
  const [entry, type] = ENTRIES.flatMap(([pattern, kind]) => top.filter((path) => pattern.test(path)).map((path) => [path, kind]))[0] || ["", ""];
  const name = splitPath(chosen[0][0])[0].split("/")[0] || splitPath(plugin || entry || paths[0])[1].replace(/\.(imjoy|hypha)?\.?\w+$/i, "");
  return { files, size, plugin, manifest: { name, type, version: "0.1.0", ...(entry && !plugin ? { entry_point: entry } : {}), ...said }, entries: paths.filter((path) => /\.(html?|py|js|mjs|ipynb)$/i.test(path)) };
}

/** Paths without the one folder in which all lie. */
function withoutTop(files) {
  const top = files[0] ? `${files[0][0].split("/")[0]}/` : "";
  return files.every(([path]) => path.startsWith(top)) && top !== "/" && files.some(([path]) => path.includes("/")) ? files.map(([path, file]) => [path.slice(top.length), file]) : files;
}

async function manifestOf(files) {
  const found = files.find(([path]) => path === "manifest.json");
  if (!found) return {};
  let said;
  try {
    said = JSON.parse(await found[1].text());
  } catch (error) {
    throw new Error(`manifest.json is no JSON: ${error.message}`);
  }
  if (!said || typeof said !== "object" || Array.isArray(said)) throw new Error("manifest.json holds no object.");
  return said;
}

/** Files as an install takes them. */
export const sendable = (files) => Promise.all(files.map(async ([path, file]) => ({ path, ...(await contentOf(file)) })));

async function contentOf(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  try {
    return { content: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), format: "text" };
  } catch {
    return { content: base64(bytes), format: "base64" };
  }
}

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** An app id from a name. */
export const idFrom = (name) => String(name || "").toLowerCase().normalize("NFKD").replace(/[^a-z0-9_]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 64);
