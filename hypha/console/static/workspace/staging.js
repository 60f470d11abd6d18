// What is staged of an artifact and becomes of it, and deleting all of it.

import { callPublic } from "./api.js";
import { announce, button, carefulButton, failure, make } from "./dom.js";
import { countText, nameOf } from "./words.js";

/** What is staged, to be committed or discarded. */
export function stagingBar(artifact, draw, go) {
  const intent = artifact.staging.find((each) => each._intent)?._intent;
  const files = artifact.staging.length - 1;
  const what = !artifact.versions.length ? "A draft" : intent === "new_version" ? "A new version, without the files of the one before" : "Changes of the latest version";
  const comment = make("input", { id: "comment", type: "text", autocomplete: "off", placeholder: "What is new (optional)", "aria-label": "What is new" });
  const answer = make("div", { "aria-live": "polite" });
  const form = make("form", { className: "staging card" }, make("p", {}, make("strong", {}, `${what}: ${countText(files, "file")} staged. `), "Readers see it after the commit."), make("div", { className: "staging-actions" }, comment, make("button", { type: "submit", className: "button primary small" }, "Commit"), carefulButton("Discard", "Really discard?", discard)), answer);
  async function discard() {
    try {
      if (artifact.versions.length) await callPublic("artifact-manager", "discard", { artifact_id: artifact.id });
      else await callPublic("artifact-manager", "delete", { artifact_id: artifact.id, delete_files: true });
      if (artifact.versions.length) await draw();
      else go("artifacts");
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await callPublic("artifact-manager", "commit", { artifact_id: artifact.id, ...(comment.value.trim() ? { comment: comment.value.trim() } : {}) });
      announce("Committed");
      await draw();
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  });
  return form;
}

/** Ask for the alias before everything is deleted: no click alone does it. */
export function deleteDialog(artifact, go) {
  const input = make("input", { id: "delete-alias", type: "text", autocomplete: "off", spellcheck: false });
  const answer = make("div", { "aria-live": "polite" });
  const confirm = make("button", { type: "submit", className: "button danger", disabled: true }, "Delete for good");
  input.addEventListener("input", () => (confirm.disabled = input.value !== artifact.alias));
  const form = make("form", { method: "dialog", className: "signin" }, make("p", {}, `It will be gone with all its files, in ${countText(artifact.versions.length, "version")}. Nobody can bring them back.`), make("div", { className: "field" }, make("label", { for: input.id }, "Type ", make("code", {}, artifact.alias), " to go on"), input), make("div", { className: "actions" }, confirm, button("Keep it", () => dialog.close(), "quiet")), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await callPublic("artifact-manager", "delete", { artifact_id: artifact.id, delete_files: true });
      dialog.close();
      announce(`${artifact.alias} is deleted`);
      go("artifacts");
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  });
  const dialog = make("dialog", { "aria-labelledby": "delete-title" }, make("h2", { id: "delete-title" }, `Delete ${nameOf(artifact)}?`), form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

