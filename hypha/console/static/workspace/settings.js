// How an app is kept and started: changed as a draft, which is tried before others get it.

import { callPublic, workspace } from "./api.js";
import { announce, button, carefulButton, failure, make } from "./dom.js";
import { nameOfApp } from "./installed.js";
import { operate } from "./operations.js";

/** What `start` is told when nothing else is said, s. */
const USUAL_INACTIVE_S = 600;
const SWITCHES = [
  ["disabled", "Disabled", "It cannot be started, and its sessions are stopped."],
  ["daemon", "Daemon", "Once started it is kept running: after a crash, and whenever the server starts."],
  ["singleton", "Singleton", "There is one session of it, which all share."],
];

/** A form for the settings of an app; `onSaved()` is called when others get them. */
export function settingsForm(controller, app, onSaved) {
  const startup = app.startup_config && typeof app.startup_config === "object" ? app.startup_config : {};
  const name = make("input", { id: "set-name", type: "text", autocomplete: "off", maxLength: 200, value: nameOfApp(app), required: true });
  const about = make("textarea", { id: "set-about", rows: 2, maxLength: 2000, value: typeof app.description === "string" ? app.description : "" });
  const idle = make("input", { id: "set-idle", type: "number", min: 0, step: "any", value: typeof startup.stop_after_inactive === "number" ? startup.stop_after_inactive : "", placeholder: String(USUAL_INACTIVE_S) });
  const field = (label, element, hint = "") => make("div", { className: "field" }, make("label", { for: element.id }, label), element, make("p", { className: "field-hint" }, hint));
  const switches = SWITCHES.map(([key, label, hint]) => ({ key, input: make("input", { type: "checkbox", role: "switch", id: `set-${key}`, checked: app[key] === true, "aria-describedby": `set-${key}-hint` }), label, hint }));
  const save = make("button", { type: "submit", className: "button small" }, "Save");
  const answer = make("div", { "aria-live": "polite" });
  const daemon = switches.find(({ key }) => key === "daemon").input;
  const follow = () => {
    idle.disabled = daemon.checked;
    if (daemon.checked) idle.value = "";
  };
  daemon.addEventListener("change", follow);
  follow();
  const form = make(
    "form", { className: "settings card" },
    field("Name", name), field("Description", about),
    make("div", { className: "switches" }, ...switches.map(({ key, input, label, hint }) => make("div", { className: "switch" }, input, make("label", { for: input.id }, label), make("p", { className: "field-hint", id: `set-${key}-hint` }, hint)))),
    field("Stopped after so many seconds without use", idle, `${USUAL_INACTIVE_S} if left empty, 0 for never. Daemons never are.`),
    make("div", { className: "actions" }, save, make("span", { className: "soft small" }, "It is started once, to see that it still works.")),
    answer,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    save.disabled = true;
    answer.replaceChildren();
    const { stop_after_inactive: _, ...kept } = startup;
    const { disabled, ...marks } = Object.fromEntries(switches.map(({ key, input }) => [key, input.checked]));
    const change = {
      app_id: app.id, disabled, manifest: { name: name.value.trim(), description: about.value.trim(), ...marks },
      startup_config: { ...kept, ...(idle.value ? { stop_after_inactive: Number(idle.value) } : {}) },
    };
    try {
      await controller.call("edit_app", change);
      await commitApp(controller, app);
    } catch (error) {
      answer.replaceChildren(failure(Object.assign(new Error(String(error.message).split(", logs:\n")[0]), { hint: error.hint })));
    }
    save.disabled = false;
    onSaved();
  });
  return form;
}

/** Try what is staged of an app, step by step, and let all use it. */
export const commitApp = (controller, app) => operate(app.id, `Committing ${nameOfApp(app)}`, (onStep) => controller.call("commit_app", { app_id: app.id }, onStep));

/** What stands where an app has changes that nobody else gets yet. */
export function draftBar(controller, app, isNew, onChange) {
  const answer = make("div", { "aria-live": "polite" });
  const commit = button("Try and commit", () => commitApp(controller, app).then(onChange, () => {}), "primary small");
  const discard = carefulButton("Discard", "Really discard?", async () => {
    try {
      await callPublic("artifact-manager", "discard", { artifact_id: `${workspace}/${app.id}` });
      announce("The changes are discarded");
      onChange();
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  });
  return make(
    "div", { className: "staging card" },
    make("p", {}, make("strong", {}, isNew ? "It is a draft. " : "There are changes that are not committed. "), isNew ? "Others get it once it was tried, and starts." : "Others get them once the app was tried, and starts."),
    make("div", { className: "staging-actions" }, commit, isNew ? "" : discard), answer,
  );
}
