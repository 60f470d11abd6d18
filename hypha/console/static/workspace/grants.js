// Who may do what with an artifact, in words.

import { manager, workspace } from "./api.js";
import { failure, make } from "./dom.js";

const LEVELS = {
  n: "do nothing", l: "see it in lists", "l+": "see it in lists, and make drafts in it", lf: "see its lists of files", "lf+": "see its lists of files, and add files",
  lv: "see it in lists", "lv+": "see it in lists, and make drafts in it", r: "read all of it", "r+": "read all of it, and add files and drafts",
  rw: "read and change it", "rw+": "read and change it, and what is in it", "rd+": "read it, and stage changes that somebody else commits", "*": "do everything but read secrets",
};
const COMMON = [
  ["Members of the workspace only", {}],
  ["Everybody who is signed in may read it", { "@": "r" }],
  ["Everybody may read it", { "*": "r" }],
];

/** One sentence for each grant. */
export function grantsInWords(permissions) {
  const lines = Object.entries(permissions || {}).map(([who, level]) => `${whoText(who)} may ${levelText(level)}.`);
  return [...lines, "Members of the workspace may read or change it as their rights there say; its administrators may also delete it."];
}

function whoText(who) {
  const [place, name] = who.includes("/") ? who.split("/", 2) : ["", who];
  const text = { "*": "Everybody", "@": "Everybody who is signed in" }[name] || name;
  return place ? `${text} (while in ${place})` : text;
}

const levelText = (level) => (Array.isArray(level) ? level.join(", ") || LEVELS.n : LEVELS[level] || LEVELS.n);

const isOpen = (permissions, grants) => ["*", "@"].every((who) => (permissions[who] || "") === (grants[who] || ""));

/** The sentences, and for those who may change it a choice of the usual ones. */
export function grantsSection(artifact, mayEdit, change) {
  const permissions = artifact.config.permissions || {};
  const list = make("ul", { className: "grants" }, ...grantsInWords(permissions).map((line) => make("li", {}, line)));
  if (!mayEdit) return list;
  const select = make("select", { id: "grants" }, ...COMMON.map(([text, grants], index) => make("option", { value: String(index), selected: isOpen(permissions, grants) }, text)));
  const answer = make("div", { "aria-live": "polite" });
  const form = make("form", { className: "inline-form card" }, make("div", { className: "field" }, make("label", { for: "grants" }, "Who may see it"), select), make("div", { className: "actions" }, make("button", { type: "submit", className: "button" }, "Change")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { "*": _, "@": __, ...others } = permissions;
    try {
      await change({ ...artifact.config, permissions: { ...others, ...COMMON[Number(select.value)][1] } });
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  });
  return make("div", {}, list, form, answer);
}

/** True for what everybody may read. */
export const isPublic = (artifact) => ["r", "r+", "rw", "rw+", "*"].includes((artifact.config.permissions || {})["*"]);

/** A token that opens the files of one artifact and nothing else, for addresses. */
export async function tokenFor(artifact) {
  if (isPublic(artifact)) return "";
  const config = { workspace, permission: "read", expires_in: 3600, extra_scopes: [`get_file:${artifact.id}:*`] };
  return `token=${encodeURIComponent(await manager("generate_token", { config }))}`;
}


/** What is to be known of an artifact at once. */
export function tagsOf(artifact) {
  const tag = (text, kind = "") => make("span", { className: `tag ${kind}` }, text);
  return [isPublic(artifact) ? tag("public", "public") : null, !artifact.versions.length ? tag("draft") : null].filter(Boolean);
}
