// Files of the workspace.

import { basePath, manager, send, workspace } from "./api.js";
import { saveFrom, showPlace } from "./browser.js";
import { failure, make } from "./dom.js";
import { IN_QUERY, postJson } from "./sending.js";
import { PAGE_HEADERS, token } from "./session.js";
import { Transfers } from "./transfers.js";
import { dropZone, pickers, uploadPanel } from "./uploading.js";
import { countText, inAddress, sizeText, splitPath } from "./words.js";

const home = `/${encodeURIComponent(workspace)}`;
let transfers = null;
let redraw = () => {};
let reload = () => {};

const source = {
  title: "Files",
  empty: "Nothing is here yet. Drop files or folders on this page.",
  list: async (folder, offset, limit) => (await (await send(`${home}/files/${inAddress(folder)}?max_length=${limit}&offset=${offset}`)).json()).children,
  fetch: (path, options) => send(`${home}/files/${inAddress(path)}`, options),
  address: async (path) => (await (await send(`${home}/files/${inAddress(path)}?signed=true&${IN_QUERY}`)).json()).url,
  remove: (path) => send(`${home}/files/${inAddress(path)}`, { method: "DELETE" }),
  download: async (path) => saveFrom(await source.address(path), splitPath(path)[1]),
};

const inParts = (path, count, life) => `${home}/create-multipart-upload?path=${encodeURIComponent(path)}&part_count=${count}&expires_in=${life}&${IN_QUERY}`;

const target = {
  id: `files/${workspace}`,
  put: async (path) => ({ address: `${basePath}${home}/files/${inAddress(path)}`, headers: { ...PAGE_HEADERS, ...(token() ? { authorization: `Bearer ${token()}` } : {}) } }),
  begin: (path, count, life) => postJson(inParts(path, count, life)),
  resume: (path, id, count, life) => postJson(`${inParts(path, count, life)}&upload_id=${encodeURIComponent(id)}`),
  abandon: (path, id) => id && send(`${home}/create-multipart-upload?upload_id=${encodeURIComponent(id)}`, { method: "DELETE" }),
  complete: (path, id, parts) => postJson(`${home}/complete-multipart-upload`, { upload_id: id, parts }),
};

export async function show(area, { chosen = "", go, level }) {
  const mayWrite = level >= 2;
  transfers = transfers || new Transfers(target, () => redraw(), () => reload());
  const panel = uploadPanel(() => transfers);
  redraw = panel.update;
  const [folder] = splitPath(chosen);
  const take = (files) => transfers.add(files.map(([path, file]) => [folder + path, file]));
  const used = make("p", { className: "soft" });
  const box = make("div", {});
  const answer = make("div", { "aria-live": "polite" });
  const zone = make("div", { className: "zone" }, answer, box, mayWrite && folder === chosen ? make("p", { className: "drop-hint" }, "Drop files or folders anywhere here to upload them.") : null);
  area.replaceChildren(
    make("div", { className: "area-head" }, make("h2", {}, "Files"), mayWrite ? pickers(take) : null),
    used, mayWrite ? panel.element : "", zone,
  );
  if (mayWrite) dropZone(area, take);
  const shown = mayWrite ? source : { ...source, remove: null };
  const draw = async (error) => {
    answer.replaceChildren(...(error ? [failure(error)] : []));
    showUsed(used);
    await showPlace(box, shown, chosen, (place) => go("files", place), draw);
  };
  reload = () => box.isConnected && draw();
  await draw();
}

/** How much of its storage the workspace uses. */
export async function showUsed(line, kind = "files") {
  const kept = (await manager("get_summary").catch(() => null))?.limits?.kept?.[kind];
  if (kept) line.textContent = `${countText(kept.used, "file")}, ${sizeText(kept.used_bytes)} of ${sizeText(kept.limit_bytes)} used.`;
}
