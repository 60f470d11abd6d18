// The versions of an artifact, and what is different between two of them.

import { callPublic } from "./api.js";
import { button, failure, make, moment, nothing, table } from "./dom.js";
import { sizeText } from "./words.js";

const MOST_FILES = 5000;
const AT_ONCE = 6;

/** The versions, newest first, with a choice of two to compare. */
export function versionsSection(artifact, source, show) {
  const versions = [...artifact.versions].reverse();
  if (!versions.length) return nothing("It is a draft: the first commit makes its first version.");
  const list = table("Versions", ["Version", "Made", "What was said", ""], versions.map((each) => [
    make("code", {}, each.version), moment(each.created_at), each.comment || "", button("Show its files", () => show(each.version), "small quiet", { "aria-label": `Show its files: ${each.version}` }),
  ]));
  if (versions.length < 2) return list;
  const select = (id, chosen) => make("select", { id }, ...versions.map(({ version }, index) => make("option", { value: version, selected: index === chosen }, version)));
  const [from, to] = [select("from-version", 1), select("to-version", 0)];
  const output = make("div", { className: "differences", "aria-live": "polite" });
  const field = (label, input) => make("div", { className: "field" }, make("label", { for: input.id }, label), input);
  const form = make("form", { className: "inline-form card" }, field("From", from), field("To", to), make("div", { className: "actions" }, make("button", { type: "submit", className: "button" }, "Show differences")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.replaceChildren(make("p", { className: "soft" }, "Comparing…"));
    try {
      output.replaceChildren(...(await differences(artifact, source, from.value, to.value)));
    } catch (error) {
      output.replaceChildren(failure(error));
    }
  });
  return make("div", {}, list, form, output);
}

async function differences(artifact, source, from, to) {
  const [before, after] = await Promise.all([from, to].map((version) => callPublic("artifact-manager", "read", { artifact_id: artifact.id, version, silent: true })));
  const [old, now] = await Promise.all([filesOf(source, from), filesOf(source, to)]);
  const rows = [];
  const same = [];
  for (const [path, entry] of now) {
    const known = old.get(path);
    if (!known) rows.push(["added", path, sizeText(entry.size)]);
    else if (known.size !== entry.size) rows.push(["changed", path, `${sizeText(known.size)} → ${sizeText(entry.size)}`]);
    else same.push(path);
  }
  for (const [path, entry] of old) if (!now.has(path)) rows.push(["removed", path, sizeText(entry.size)]);
  for (const path of await changedAmong(source, same, from, to)) rows.push(["changed", path, "as large as before"]);
  rows.sort((a, b) => a[1].localeCompare(b[1]));
  const fields = changedFields(before.manifest, after.manifest);
  const marks = { added: "+", removed: "−", changed: "~" };
  return [
    make("h4", {}, "Files"),
    rows.length ? table("Files that differ", ["What", "File", "Size"], rows.map(([what, path, size]) => [make("span", { className: `change is-${what}` }, `${marks[what]} ${what}`), make("code", {}, path), size])) : nothing("The files are the same."),
    make("h4", {}, "Manifest"),
    fields.length ? table("Fields that differ", ["Field", from, to], fields.map(([key, a, b]) => [make("code", {}, key), shown(a), shown(b)])) : nothing("The manifest is the same."),
  ];
}

/** All files of a version by their paths. */
async function filesOf(source, version) {
  const files = new Map();
  const folders = [""];
  while (folders.length) {
    const folder = folders.pop();
    for (const entry of await source.list(folder, version)) {
      if (entry.type === "directory") folders.push(`${folder}${entry.name}/`);
      else files.set(folder + entry.name, entry);
    }
    if (files.size > MOST_FILES) throw new Error(`These versions have more than ${MOST_FILES} files: compare them with a program.`);
  }
  return files;
}

/** Of files of one size in both versions those with other content, by their ETags. */
async function changedAmong(source, paths, from, to) {
  const changed = [];
  const rest = [...paths];
  const work = async () => {
    for (let path = rest.pop(); path !== undefined; path = rest.pop()) {
      const [a, b] = await Promise.all([from, to].map((version) => source.etag(path, version)));
      if (a !== b) changed.push(path);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return changed;
}

function changedFields(before, after) {
  const keys = [...new Set([...Object.keys(before || {}), ...Object.keys(after || {})])].sort();
  const text = (value) => (value === undefined ? undefined : JSON.stringify(value));
  return keys.map((key) => [key, (before || {})[key], (after || {})[key]]).filter(([, a, b]) => text(a) !== text(b));
}

function shown(value) {
  if (value === undefined) return make("span", { className: "soft" }, "nothing");
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
