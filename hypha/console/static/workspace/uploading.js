// Choosing and dropping files and whole folders, and what becomes of their uploads.

import { announce, button, make } from "./dom.js";
import { sizeText } from "./words.js";

const MOST_ROWS = 8;
const MOST_FILES = 100_000;

/** Buttons that choose files or a folder; `take([[path, file]])` gets them. */
export function pickers(take, files = "Upload files", folder = "Upload a folder") {
  const picker = (text, properties) => {
    const input = make("input", { type: "file", multiple: true, hidden: true, ...properties, "aria-label": text });
    input.addEventListener("change", () => {
      take([...input.files].map((file) => [file.webkitRelativePath || file.name, file]));
      input.value = "";
    });
    return [button(text, () => input.click(), "small"), input];
  };
  return make("span", { className: "pickers" }, ...picker(files, { id: "pick-files" }), ...picker(folder, { id: "pick-folder", webkitdirectory: true }));
}

/** Let files and folders be dropped on an element. */
export function dropZone(element, take) {
  let depth = 0;
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    element.classList.toggle("is-dropping", depth > 0);
  };
  const isFiles = (event) => [...event.dataTransfer.types].includes("Files");
  element.addEventListener("dragenter", (event) => isFiles(event) && (event.preventDefault(), mark(1)));
  element.addEventListener("dragleave", (event) => isFiles(event) && mark(-1));
  element.addEventListener("dragover", (event) => isFiles(event) && event.preventDefault());
  element.addEventListener("drop", async (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    depth = 0;
    mark(0);
    // entries can be asked for only now, files of folders only later
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
    const plain = [...event.dataTransfer.files];
    take(entries.some(Boolean) ? await filesOf(entries.filter(Boolean)) : plain.map((file) => [file.name, file]));
  });
}

async function filesOf(entries, folder = "", found = []) {
  for (const entry of entries) {
    if (found.length >= MOST_FILES) break;
    const path = folder + entry.name;
    if (entry.isFile) found.push([path, await new Promise((resolve, reject) => entry.file(resolve, reject))]);
    else await filesOf(await readFolder(entry), `${path}/`, found);
  }
  return found;
}

async function readFolder(entry) {
  const reader = entry.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return all;
    all.push(...some);
  }
}

/** What is shown of uploads; call `update()` when something happened. */
export function uploadPanel(transfers) {
  const box = make("div", { className: "uploads card", hidden: true });
  const title = make("strong", {});
  const bar = make("progress", { max: 1, value: 0, "aria-label": "All uploads" });
  const pause = button("Pause", () => (transfers().isPaused ? transfers().resume() : transfers().pause()), "small");
  const again = button("Try again", () => transfers().resume(), "small");
  const clear = button("Close", () => transfers().clear(), "small quiet");
  const rows = make("ul", { className: "upload-rows" });
  box.append(make("div", { className: "upload-head" }, title, make("span", { className: "row-actions" }, pause, again, clear)), bar, rows);
  let isAsked = false;
  const update = () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      draw();
    });
  };
  const draw = () => {
    const all = transfers();
    const { items } = all;
    const left = all.unfinished();
    box.hidden = !items.length && !left.length;
    const [size, sent] = ["size", "sent"].map((name) => items.reduce((sum, item) => sum + item[name], 0));
    const done = all.count("done"), failed = all.count("failed"), open = all.count("running", "waiting", "paused");
    const state = failed && !open ? `${failed} failed` : open ? (all.isPaused ? "Paused" : "Uploading") : "Uploaded";
    title.textContent = items.length ? `${state}: ${done} of ${items.length} file${items.length === 1 ? "" : "s"}, ${sizeText(sent)} of ${sizeText(size)}` : "Uploads that were not finished";
    bar.hidden = !items.length;
    bar.value = size ? sent / size : Number(done === items.length);
    pause.hidden = !open;
    pause.textContent = all.isPaused ? "Resume" : "Pause";
    again.hidden = !failed || open > 0;
    clear.hidden = open > 0 || !items.length;
    const shown = items.filter(({ state: word }) => word !== "done").slice(0, MOST_ROWS);
    const hidden = items.length - done - shown.length;
    rows.replaceChildren(...shown.map((item) => rowOf(all, item)), ...(hidden > 0 ? [make("li", { className: "soft" }, `and ${hidden} more`)] : []), ...leftRows(all, left));
    if (!open && items.length && done === items.length) announce("All files are uploaded");
  };
  update();
  return { element: box, update };
}

function rowOf(transfers, item) {
  const share = item.size ? item.sent / item.size : 0;
  const words = { waiting: "waiting", paused: `paused at ${Math.round(share * 100)} %`, running: `${Math.round(share * 100)} %` };
  return make(
    "li", { className: `upload is-${item.state}` },
    make("span", { className: "upload-name" }, item.path),
    make("span", { className: item.state === "failed" ? "field-error" : "soft small" }, item.state === "failed" ? item.error.message : `${sizeText(item.size)}, ${words[item.state]}`),
    make("progress", { max: 1, value: share, "aria-label": item.path }),
    button("Cancel", () => transfers.cancel(item), "small quiet", { "aria-label": `Cancel ${item.path}` }),
  );
}

function leftRows(transfers, left) {
  if (!left.length) return [];
  const hint = make("li", { className: "soft" }, "Choose the same files again, and these go on where they stopped:");
  return [hint, ...left.map(({ path, size, sent }) => make(
    "li", { className: "upload" },
    make("span", { className: "upload-name" }, path),
    make("span", { className: "soft small" }, `${sizeText(sent)} of ${sizeText(size)} are there`),
    make("progress", { max: size, value: sent, "aria-label": path }),
    button("Forget", () => transfers.forget(path), "small quiet", { "aria-label": `Forget ${path}` }),
  ))];
}
