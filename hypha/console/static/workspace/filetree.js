// The files of an app that is being written, as a tree.

import { button, failure, make } from "./dom.js";
import { MANIFEST } from "./project.js";

const NAMES = { [MANIFEST]: "Manifest" };

/** What a file is called. */
export const titleOfFile = (path, way) => NAMES[path] || (path === "source" && way !== "files" ? (way === "plugin" ? "App (one file)" : "Script") : path);

/** Show a project's files; `choose(path)` is called with the one that is clicked. */
export function fileTree(project, choose) {
  const root = { folders: new Map(), files: [] };
  for (const entry of project.documents.values()) {
    const parts = entry.path.split("/");
    let at = root;
    for (const part of parts.slice(0, -1)) {
      if (!at.folders.has(part)) at.folders.set(part, { folders: new Map(), files: [] });
      at = at.folders.get(part);
    }
    at.files.push([parts.at(-1), entry]);
  }
  const rank = ([name, { path }]) => (path === "source" && project.way !== "files" ? "0" : path === MANIFEST ? "1" : `2${name}`);
  const branch = ({ folders, files }) => make(
    "ul", { className: "tree" },
    ...[...folders].sort().map(([name, inner]) => make("li", {}, make("details", { open: true }, make("summary", {}, `${name}/`), branch(inner)))),
    ...files.sort((a, b) => rank(a).localeCompare(rank(b))).map(([name, entry]) => leaf(name, entry)),
  );
  const leaf = (name, { path, text, saved, isMade }) => {
    const isCurrent = path === project.current;
    const isChanged = text !== null && text !== saved;
    const open = button(titleOfFile(path, project.way) === path ? name : titleOfFile(path, project.way), () => choose(path), "tree-file", isCurrent ? { "aria-current": "true" } : {});
    if (isChanged) open.append(make("span", { className: "changed", title: "Not saved" }, " ●", make("span", { className: "unseen" }, " not saved")));
    if (isMade) open.append(make("span", { className: "soft small" }, " made"));
    return make("li", {}, open);
  };
  return branch(root);
}

/** A form for one more file; `add(path)` may refuse it. */
export function newFileForm(add) {
  const path = make("input", { id: "new-file", type: "text", autocomplete: "off", spellcheck: false, placeholder: "data/words.json", "aria-label": "Path of a new file", maxLength: 400 });
  const answer = make("div", { "aria-live": "polite" });
  const form = make("form", { className: "new-file" }, path, make("button", { type: "submit", className: "button small" }, "Add file"), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.replaceChildren();
    try {
      await add(path.value.trim());
      path.value = "";
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  });
  return form;
}
