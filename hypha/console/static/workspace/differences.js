// The versions of an artifact, and what is different between two of them.

import { callPublic } from "./api.js";
import { button, failure, make, moment, moreButton, nothing, table } from "./dom.js";
import { sizeText, splitPath } from "./words.js";

const PAGE = 100;

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
  const fields = changedFields(before.manifest, after.manifest);
  return [
    make("h4", {}, "Files"),
    ...(await filesThatDiffer(artifact, source, from, to)),
    make("h4", {}, "Manifest"),
    fields.length ? table("Fields that differ", ["Field", from, to], fields.map(([key, a, b]) => [make("code", {}, key), shown(a), shown(b)])) : nothing("The manifest is the same."),
  ];
}

async function filesThatDiffer(artifact, source, from, to) {
  const changes = changesOf(artifact, source, from, to);
  const next = async () => {
    const rows = [];
    for (;;) {
      const { done, value } = await changes.next();
      if (done) return [rows, false];
      rows.push(rowOf(value));
      if (rows.length === PAGE) return [rows, true];
    }
  };
  const [first, isMore] = await next();
  if (!first.length) return [nothing("The files are the same.")];
  const list = table("Files that differ", ["What", "File", "Size"], first);
  const answer = make("div", { "aria-live": "polite" });
  const more = moreButton(async () => {
    try {
      const [rows, isLeft] = await next();
      list.add(rows);
      return isLeft;
    } catch (error) {
      answer.replaceChildren(failure(error));
      return false;
    }
  });
  more.hidden = !isMore;
  return [list, more, answer];
}

const MARKS = { added: "+", removed: "−", changed: "~" };

function rowOf([what, path, old, now]) {
  const size = what === "changed" ? (old.size === now.size ? "as large as before" : `${sizeText(old.size)} → ${sizeText(now.size)}`) : sizeText((old || now).size);
  return [make("span", { className: `change is-${what}` }, `${MARKS[what]} ${what}`), make("code", {}, path), size];
}

/** Each file that differs, in the order of the paths: [what, path, before, after]. Both versions are read side by side. */
async function* changesOf(artifact, source, from, to) {
  const [olds, nows] = [contentsOf(artifact, from), contentsOf(artifact, to)];
  let [old, now] = [await olds.next(), await nows.next()];
  while (!old.done || !now.done) {
    const order = old.done ? 1 : now.done ? -1 : comparePaths(old.value.path, now.value.path);
    if (order < 0) yield ["removed", old.value.path, old.value, null];
    else if (order > 0) yield ["added", now.value.path, null, now.value];
    else if (await isChanged(source, old.value, now.value, from, to)) yield ["changed", now.value.path, old.value, now.value];
    if (order <= 0) old = await olds.next();
    if (order >= 0) now = await nows.next();
  }
}

/** All files of a version, page by page, in the order of their folders and names. */
async function* contentsOf(artifact, version) {
  for (let after = ""; after !== null; ) {
    const page = await callPublic("artifact-manager", "list_contents", { artifact_id: artifact.id, version, after });
    yield* page.files;
    ({ after } = page);
  }
}

async function isChanged(source, old, now, from, to) {
  if (old.size !== now.size) return true;
  if (old.sha256 && now.sha256) return old.sha256 !== now.sha256;
  const [a, b] = await Promise.all([source.etag(old.path, from), source.etag(now.path, to)]); // of what was taken over
  return a !== b;
}

/** The order of the server's pages: by folder, then by name, letters by their numbers. */
function comparePaths(a, b) {
  const [first, second] = [splitPath(a), splitPath(b)];
  return compareTexts(first[0].slice(0, -1), second[0].slice(0, -1)) || compareTexts(first[1], second[1]);
}

function compareTexts(a, b) {
  const [first, second] = [[...a], [...b]];
  for (let at = 0; at < Math.min(first.length, second.length); at += 1) {
    if (first[at] !== second[at]) return first[at].codePointAt(0) - second[at].codePointAt(0);
  }
  return first.length - second.length;
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
