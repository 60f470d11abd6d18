// Folders and files of a source: where one is, what is there, and what a file holds.
//
// A source has `list(folder, offset, limit)` for its entries, `fetch(path, options)` for bytes and, where it can, `address(path)` for an
// address without credentials, `remove(path)`, `zip` to look into archives, and `download(path)`.

import { button, carefulButton, failure, make, moment, moreButton, nothing, table } from "./dom.js";
import { preview } from "./preview.js";
import { sizeText, splitPath } from "./words.js";

const PAGE = 200;
const GONE = "There is no such file any more.";

/** Show a place: a folder (empty, or with `/` at its end) or a file. `go(path)` leads elsewhere. */
export async function showPlace(box, source, place, go, onChange) {
  const [folder, name] = splitPath(place);
  const crumbs = crumbsOf(source.title, folder, name, go);
  const list = make("div", {});
  box.replaceChildren(place ? crumbs : "", list);
  const page = (number) => source.list(folder, number * PAGE, PAGE);
  try {
    const first = await page(0);
    if (name) list.replaceChildren(await fileIn(first, page, source, place, () => go(folder), onChange));
    else if (!first.length) list.replaceChildren(nothing(source.empty || "Nothing is here yet."));
    else list.replaceChildren(...entryTable(source, folder, first, page, go, onChange));
  } catch (error) {
    if (error.status !== 404) list.replaceChildren(failure(error));
    else list.replaceChildren(nothing(name ? GONE : source.empty || "Nothing is here yet."));
  }
}

async function fileIn(first, page, source, place, goBack, onChange) {
  const [, name] = splitPath(place);
  let entries = first;
  for (let number = 1; ; number += 1) {
    const entry = entries.find((each) => each.name === name && each.type === "file");
    if (entry) return fileView(source, place, entry, goBack, onChange);
    if (isLast(entries)) return nothing(GONE);
    entries = await page(number);
  }
}

// one that is not shown may be among them
const isLast = (entries) => entries.length < PAGE - 1;

function crumbsOf(title, folder, name, go) {
  const words = folder.split("/").filter(Boolean);
  const places = [[title, ""], ...words.map((word, index) => [word, `${words.slice(0, index + 1).join("/")}/`])];
  const links = places.map(([text, place], index) => {
    const isHere = !name && index === places.length - 1;
    return make("li", {}, isHere ? make("span", { "aria-current": "page" }, text) : button(text, () => go(place), "link"));
  });
  if (name) links.push(make("li", {}, make("span", { "aria-current": "page" }, name)));
  return make("nav", { className: "crumbs", "aria-label": "Where you are" }, make("ol", {}, ...links));
}

function entryTable(source, folder, first, page, go, onChange) {
  const rowOf = (entry) => {
    const isFolder = entry.type === "directory";
    const path = folder + entry.name + (isFolder ? "/" : "");
    const open = button(isFolder ? `${entry.name}/` : entry.name, () => go(path), isFolder ? "link folder" : "link");
    return [open, isFolder ? "" : entry.pending ? "not uploaded yet" : sizeText(entry.size), isFolder ? "" : moment(entry.last_modified), make("span", { className: "row-actions" }, ...actionsOf(source, path, isFolder, onChange))];
  };
  const list = table("Files", ["Name", "Size", "Changed", ""], first.map(rowOf));
  let number = 0;
  const more = moreButton(async () => {
    const entries = await page(number + 1).catch((error) => {
      onChange(error);
      return [];
    });
    number += 1;
    list.add(entries.map(rowOf));
    return !isLast(entries);
  });
  more.hidden = isLast(first);
  return [list, more];
}

function actionsOf(source, path, isFolder, onChange) {
  const actions = [];
  if (!isFolder && source.download) actions.push(button("Download", () => source.download(path).catch(onChange), "small quiet", { "aria-label": `Download ${path}` }));
  if (source.remove && !(isFolder && source.keepsFolders)) {
    const remove = carefulButton("Delete", isFolder ? "With all in it?" : "Really delete?", async () => {
      await source.remove(path).then(() => onChange(), onChange);
    });
    remove.setAttribute("aria-label", `Delete ${path}`);
    actions.push(remove);
  }
  return actions;
}

function fileView(source, path, entry, goBack, onChange) {
  const shown = make("div", { className: "preview" });
  preview(shown, source, path, entry.size);
  const removed = (error) => (error ? onChange(error) : (onChange(), goBack()));
  return make(
    "div", { className: "file card" },
    make("div", { className: "file-head" }, make("div", {}, make("strong", {}, entry.name), make("p", { className: "soft small" }, sizeText(entry.size), ", ", moment(entry.last_modified))), make("span", { className: "row-actions" }, ...actionsOf(source, path, false, removed))),
    shown,
  );
}

/** Let the browser save what is at an address. */
export function saveFrom(address, name) {
  const link = make("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
