// Artifacts of the workspace: found, made, and opened.

import { callPublic, getJson, workspace } from "./api.js";
import { showArtifact } from "./artifact.js";
import { announce, button, failure, make, moment, nothing } from "./dom.js";
import { showUsed } from "./files.js";
import { tagsOf } from "./grants.js";
import { countText, nameOf } from "./words.js";

const PAGE = 50;
const WAIT_MS = 250;
const ALIAS = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

export async function show(area, parts) {
  if (parts.chosen) return void (await showArtifact(area, parts));
  const { go, level } = parts;
  const list = make("ul", { className: "artifact-list card rows", hidden: true });
  const answer = make("div", { "aria-live": "polite" });
  const more = button("Show more", () => load(true), "small");
  const used = make("p", { className: "soft" });
  const search = make("input", { type: "search", id: "artifact-search", placeholder: "Find words in names and descriptions", autocomplete: "off" });
  const make_ = level >= 2 ? createDialog(go) : null;
  area.replaceChildren(
    make("div", { className: "area-head" }, make("h2", {}, "Artifacts"), make_ ? button("New artifact", () => make_.showModal(), "small primary") : null),
    make("p", { className: "soft" }, "Datasets, models and applications: a description with files, kept in versions."),
    level >= 1 ? used : "",
    make("div", { className: "field find" }, make("label", { className: "unseen", for: search.id }, "Find artifacts"), search),
    answer, list, more, make_ || "",
  );
  let count = 0;
  const load = async (isMore) => {
    const words = search.value.trim().split(/\s+/).filter(Boolean);
    const query = new URLSearchParams({ pagination: "true", stage: "all", order_by: "last_modified>", limit: PAGE, offset: isMore ? count : 0 });
    if (words.length) query.set("keywords", words.join(","));
    try {
      const page = await getJson(`/${encodeURIComponent(workspace)}/artifacts/-/search?${query}`);
      if (words.join() !== search.value.trim().split(/\s+/).filter(Boolean).join()) return;
      if (!isMore) list.replaceChildren();
      list.append(...page.items.map((artifact) => entryOf(artifact, go)));
      count = list.children.length;
      list.hidden = !count;
      more.hidden = count >= page.total;
      answer.replaceChildren(count ? "" : nothing(words.length ? "Nothing has these words." : "There are no artifacts here that you may see."));
      if (words.length) announce(countText(page.total, "artifact"));
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  };
  let timer;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(load, WAIT_MS);
  });
  if (level >= 1) showUsed(used, "artifact_files");
  await load(false);
}

function entryOf(artifact, go) {
  const manifest = artifact.manifest || {};
  const link = make("a", { href: `#artifacts/${encodeURIComponent(artifact.alias)}` }, make("strong", {}, nameOf(artifact)));
  link.addEventListener("click", (event) => {
    event.preventDefault();
    go("artifacts", artifact.alias);
  });
  const last = artifact.versions.at(-1);
  const facts = [artifact.type, last ? `version ${last.version}` : null, last ? countText(artifact.file_count, "file") : null].filter(Boolean).join(", ");
  return make(
    "li", {},
    make("p", { className: "entry-title" }, link, ...tagsOf(artifact)),
    typeof manifest.description === "string" && manifest.description ? make("p", { className: "summary-text" }, manifest.description.slice(0, 300)) : null,
    make("p", { className: "soft small" }, make("code", {}, artifact.alias), ` · ${facts} · `, moment(artifact.last_modified)),
  );
}

function createDialog(go) {
  const input = (id, properties = {}) => make("input", { id, type: "text", autocomplete: "off", ...properties });
  const alias = input("new-alias", { spellcheck: false, placeholder: "leaf-images", required: true, maxLength: 64 });
  const name = input("new-name", { placeholder: "Images of leaves" });
  const about = make("textarea", { id: "new-description", rows: 3 });
  const type = make("select", { id: "new-type" }, ...["dataset", "model", "generic", "collection"].map((word) => make("option", { value: word }, word)));
  const open = input("new-public", { type: "checkbox" });
  const answer = make("div", { "aria-live": "polite" });
  const field = (label, element, hint = "") => make("div", { className: "field" }, make("label", { for: element.id }, label), element, make("p", { className: "field-hint" }, hint));
  const form = make(
    "form", { method: "dialog", className: "signin" },
    field("Name", name), field("Alias", alias, "Its name in addresses: letters, digits, . _ -"), field("Description", about), field("Type", type),
    make("label", { className: "check" }, open, " Everybody may read it"),
    make("div", { className: "actions" }, make("button", { type: "submit", className: "button primary" }, "Make a draft"), button("Cancel", () => dialog.close(), "quiet")),
    answer,
  );
  let isOwn = false;
  alias.addEventListener("input", () => (isOwn = Boolean(alias.value)));
  name.addEventListener("input", () => {
    if (!isOwn) alias.value = name.value.toLowerCase().normalize("NFKD").replace(/[^a-z0-9._]+/g, "-").replace(/^[^a-z0-9]+|-+$/g, "").slice(0, 64);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!ALIAS.test(alias.value)) return void answer.replaceChildren(failure(new Error("An alias has letters, digits, '.', '_' and '-', and begins with a letter or digit.")));
    const manifest = { name: name.value.trim() || alias.value, ...(about.value.trim() ? { description: about.value.trim() } : {}) };
    const config = open.checked ? { permissions: { "*": "r" } } : {};
    try {
      await callPublic("artifact-manager", "create", { alias: alias.value, workspace, type: type.value, manifest, config, stage: true });
      dialog.close();
      go("artifacts", alias.value);
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  });
  const dialog = make("dialog", { "aria-labelledby": "create-title" }, make("h2", { id: "create-title" }, "New artifact"), form);
  return dialog;
}
