// What a call gave: a value, or items as they come; bytes can be kept, pictures are shown.

import { isArray, nameOf, numbersOf } from "./array.js";
import { announce, copyButton, make } from "./dom.js";
import { itemsOf, valueOf } from "./api.js";

const MAX_SHOWN_CHARS = 200_000;
const MAX_ITEMS = 500;
const MAX_FILES = 20;
const MAX_PICTURE_BYTES = 8 * 1024 * 1024;
const PICTURES = [
  ["image/png", [0x89, 0x50, 0x4e, 0x47]],
  ["image/jpeg", [0xff, 0xd8, 0xff]],
  ["image/gif", [0x47, 0x49, 0x46, 0x38]],
  ["image/webp", [0x52, 0x49, 0x46, 0x46]],
];

/** Show the value of an answer. */
export async function showValue(output, answer, took) {
  const files = [];
  const arrays = [];
  const shown = textOf(await valueOf(answer), files, 2, arrays);
  const cut = shown.length > MAX_SHOWN_CHARS;
  const code = make("code", {}, cut ? `${shown.slice(0, MAX_SHOWN_CHARS)}\n…` : shown);
  const head = resultHead(`Result in ${took()}${cut ? ", cut for display" : ""}`, () => shown);
  const result = make("pre", { className: "result", tabIndex: 0 }, code);
  output.replaceChildren(head, result, ...arrays.map(arrayOf), ...files.map(fileOf));
  announce("The result is there.");
}

/** Show the items of a stream as they come. */
export async function showStream(output, answer, took) {
  const lines = [];
  const state = make("span", {}, "Stream");
  const list = make("pre", { className: "result", tabIndex: 0 });
  const kept = make("div", {});
  output.replaceChildren(resultHead(state, () => lines.join("\n")), list, kept);
  const tell = (word) => (state.textContent = `${word}: ${lines.length} item${lines.length === 1 ? "" : "s"}, ${took()}`);
  for await (const item of itemsOf(answer)) {
    const files = [];
    const text = textOf(item, files, 0);
    lines.push(text);
    if (lines.length > MAX_ITEMS) list.firstChild.remove();
    list.append(make("code", { className: "item" }, `${text.slice(0, MAX_SHOWN_CHARS)}\n`));
    kept.append(...files.map(fileOf));
    while (kept.children.length > MAX_FILES) kept.firstChild.remove();
    tell("Stream");
  }
  tell("Stream ended");
}

const resultHead = (title, read) => make("div", { className: "result-head" }, make("strong", {}, title), copyButton(read));

/** The value as JSON; bytes and arrays in it are named there, and collected in `files` and `arrays`. */
function textOf(value, files, indent, arrays = []) {
  const name = (key, part) => {
    if (isArray(part)) {
      if (arrays.length < MAX_FILES) arrays.push([key, part]);
      return nameOf(part);
    }
    if (!(part instanceof Uint8Array)) return part;
    if (files.length < MAX_FILES) files.push(part);
    return `${part.length} bytes`;
  };
  return JSON.stringify(value, name, indent) ?? "null";
}

/** The numbers of a small array, below the result. */
function arrayOf([key, array]) {
  const numbers = numbersOf(array);
  if (!numbers) return "";
  const title = make("figcaption", {}, `${key ? `${key}: ` : ""}${nameOf(array)}`);
  return make("figure", { className: "numbers" }, title, make("pre", { className: "result", tabIndex: 0 }, numbers));
}

function fileOf(bytes) {
  const [type] = PICTURES.find(([, start]) => start.every((byte, index) => bytes[index] === byte)) || ["application/octet-stream"];
  const text = `Save ${bytes.length} bytes`;
  const link = make("a", { href: "#", className: "button small" }, text);
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const url = URL.createObjectURL(new Blob([bytes], { type }));
    make("a", { href: url, download: `result.${type.split("/").pop().replace("octet-stream", "bin")}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  });
  if (!type.startsWith("image/") || bytes.length > MAX_PICTURE_BYTES) return make("p", {}, link);
  const picture = make("img", { alt: "The picture that the function returned" });
  const reader = new FileReader();
  reader.addEventListener("load", () => (picture.src = reader.result));
  reader.readAsDataURL(new Blob([bytes], { type }));
  return make("figure", { className: "picture" }, picture, make("figcaption", {}, link));
}
