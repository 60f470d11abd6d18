// What a file holds, shown without running anything of it: text is text, pictures and sound are played by the browser.

import { failure, make, nothing, button } from "./dom.js";
import { prose } from "./prose.js";
import { sizeText, splitPath } from "./words.js";

const TEXT_BYTES = 256 * 1024;
const LOADED_BYTES = 32 * 1024 * 1024;
const MOST_ROWS = 500;
const MOST_COLUMNS = 60;
const KINDS = {
  image: /\.(png|jpe?g|gif|webp|avif|bmp|svg|ico)$/i,
  audio: /\.(mp3|wav|ogg|oga|flac|m4a|aac|opus)$/i,
  video: /\.(mp4|webm|ogv|mov|m4v)$/i,
  zip: /\.zip$/i,
  markdown: /\.(md|markdown)$/i,
  json: /\.(json|geojson|ipynb)$/i,
  sheet: /\.(csv|tsv)$/i,
};

/** Show a file of a source (see `browser.js`) in an element. */
export async function preview(box, source, path, size) {
  const kind = Object.keys(KINDS).find((name) => KINDS[name].test(path)) || "text";
  box.replaceChildren(make("p", { className: "soft" }, "Loading…"));
  loaded.forget();
  try {
    box.replaceChildren(...[await SHOWN[kind](source, path, size)].flat());
  } catch (error) {
    box.replaceChildren(failure(error));
  }
}

const SHOWN = {
  image: async (source, path, size) => make("img", { className: "preview-picture", alt: splitPath(path)[1], src: await addressOf(source, path, size) }),
  audio: async (source, path, size) => make("audio", { controls: true, src: await addressOf(source, path, size) }),
  video: async (source, path, size) => make("video", { controls: true, className: "preview-picture", src: await addressOf(source, path, size) }),
  zip: async (source, path) => (source.zip ? zipList(source, path, "") : nothing("Download it to see what is inside.")),
  markdown: async (source, path, size) => told(await textOf(source, path, size), (text) => prose(text, "docs preview-prose", TEXT_BYTES)),
  json: async (source, path, size) => told(await textOf(source, path, size), (text) => plain(pretty(text))),
  sheet: async (source, path, size) => told(await textOf(source, path, size), (text) => sheet(text, /\.tsv$/i.test(path) ? "\t" : ",")),
  text: async (source, path, size) => told(await textOf(source, path, size), plain),
};

/** An address that the browser can show by itself. */
async function addressOf(source, path, size) {
  const signed = source.address ? await source.address(path).catch(() => null) : null;
  if (signed) return signed;
  if (size > LOADED_BYTES) throw new Error(`It has ${sizeText(size)}: download it to see it.`);
  return loaded.address(await (await source.fetch(path)).blob());
}

/** What was loaded to be shown is kept while it is: until another file or place is. */
const loaded = {
  url: "",
  address(blob) {
    this.forget();
    this.url = URL.createObjectURL(blob);
    return this.url;
  },
  forget() {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = "";
  },
};
addEventListener("hashchange", () => loaded.forget());

async function textOf(source, path, size) {
  const headers = size > TEXT_BYTES ? { range: `bytes=0-${TEXT_BYTES - 1}` } : {};
  const bytes = new Uint8Array(await (await source.fetch(path, { headers })).arrayBuffer());
  if (bytes.subarray(0, 8192).includes(0)) return null;
  return { text: new TextDecoder().decode(bytes), isCut: size > TEXT_BYTES };
}

function told(found, show) {
  if (!found) return [nothing("It is no text, and there is no preview for files of its kind.")];
  return [found.isCut ? make("p", { className: "soft small" }, `The first ${sizeText(TEXT_BYTES)}:`) : null, show(found.text)].filter(Boolean);
}

const plain = (text) => make("pre", { className: "result", tabIndex: 0 }, make("code", {}, text || "(empty)"));

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Rows of cells, as spreadsheets write them. */
export function rowsOf(text, mark) {
  const rows = [[]];
  const pattern = new RegExp(`(?:"((?:[^"]|"")*)"?|([^${mark}\\r\\n]*))(${mark}|\\r?\\n|\\r|$)`, "y");
  while (pattern.lastIndex < text.length && rows.length <= MOST_ROWS + 1) {
    const [, quoted, bare, end] = pattern.exec(text) || [];
    if (end === undefined) break;
    rows.at(-1).push(quoted === undefined ? bare : quoted.replaceAll('""', '"'));
    if (end !== mark && pattern.lastIndex < text.length) rows.push([]);
    if (end === "") break;
  }
  return rows;
}

function sheet(text, mark) {
  const rows = rowsOf(text, mark);
  const cut = (row) => row.slice(0, MOST_COLUMNS);
  const [head, ...body] = rows;
  const cells = (row, tag, properties = {}) => cut(row).map((cell) => make(tag, properties, cell));
  const shown = body.slice(0, MOST_ROWS);
  return make(
    "div", {},
    make("div", { className: "sheet card", role: "region", "aria-label": "Table", tabIndex: 0 }, make("table", {}, make("thead", {}, make("tr", {}, ...cells(head, "th", { scope: "col" }))), make("tbody", {}, ...shown.map((row) => make("tr", {}, ...cells(row, "td")))))),
    body.length > MOST_ROWS ? make("p", { className: "soft small" }, `The first ${MOST_ROWS} rows.`) : null,
  );
}

async function zipList(source, path, folder) {
  const entries = await source.zip.list(path, folder);
  const box = make("div", {});
  const open = async (inner, size) => {
    if (inner.endsWith("/") || !inner) return void box.replaceWith(await zipList(source, path, inner));
    const shown = make("div", {});
    const back = button("Back to the list", async () => box.replaceWith(await zipList(source, path, folder)), "small");
    box.replaceChildren(make("p", { className: "zip-place" }, back, " ", make("code", {}, inner)), shown);
    await preview(shown, { fetch: (name, options) => source.zip.fetch(path, name, options) }, inner, size);
  };
  const rows = entries.slice(0, 1000).map((entry) => {
    const isFolder = entry.type === "directory";
    const text = isFolder ? `${entry.name}/` : entry.name;
    return make("li", {}, button(text, () => open(folder + text, entry.size), "link"), make("span", { className: "soft small" }, isFolder ? "" : sizeText(entry.size)));
  });
  const upper = folder ? [make("li", {}, button("..", () => open(splitPath(folder.slice(0, -1))[0]), "link"))] : [];
  box.append(make("p", { className: "soft small" }, `Inside the zip${folder ? `, in ${folder}` : ""}:`), make("ul", { className: "zip-list card" }, ...upper, ...rows), rows.length ? "" : nothing("There is nothing in it."));
  return box;
}
