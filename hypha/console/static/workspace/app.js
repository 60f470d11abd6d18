// One app: starting it, its sessions, and what it is.

import { announce, button, carefulButton, failure, make, moment, nothing } from "./dom.js";
import { nameOfApp, startApp, tagsOfApp } from "./installed.js";
import { lookOut } from "./looking.js";
import { forget, operationOf, operationView, watch } from "./operations.js";
import { draftBar, settingsForm } from "./settings.js";
import { SessionList } from "./sessions.js";

/** `chosen` is the id of the app. */
export async function showApp(area, controller, { chosen: id, go, level }) {
  const back = make("p", { className: "back" }, button("‹ All apps", () => go("apps"), "link"));
  let found, staged;
  try {
    const read = (stage) => controller.call("get_app_info", { app_id: id, stage });
    [found, staged] = await Promise.all([read(false), level >= 2 ? read(true) : null]);
  } catch (error) {
    area.replaceChildren(back, failure(error));
    return {};
  }
  const isNew = !found.versions?.length;
  const isDraft = isNew || Array.isArray(staged?.staging);
  const app = { ...found.manifest, id };
  const redraw = () => area.isConnected && go("apps", id);
  const answer = make("div", { "aria-live": "polite" });
  const progress = make("div", { className: "progress", "aria-live": "polite" });
  const sessions = new SessionList(controller, { go, ofOne: true, onChange: () => news.look() });
  const none = nothing("It does not run now.");
  let shared = [];
  // one that runs would be given again: scripts that have come to their end are run anew
  const run = button("Run", () => startApp(controller, app, shared, isNew).then(() => news.look(), () => news.look()), "primary");
  const drawProgress = () => {
    const operation = operationOf(id);
    run.disabled = operation?.state === "running" || app.disabled === true;
    const close = button("Close", () => (forget(id), progress.replaceChildren()), "small quiet");
    progress.replaceChildren(operation ? operationView(operation, close) : "");
  };
  area.replaceChildren(
    back,
    headOf(app, found),
    make("div", { className: "artifact-actions" }, run, level >= 2 ? button("Edit", () => go("development", id), "small") : null, level >= 2 ? uninstallButton(controller, app, answer, go) : null),
    answer, progress,
    level >= 2 && isDraft ? draftBar(controller, app, isNew, redraw) : "",
    make("section", { className: "part" }, make("h3", {}, "Sessions"), none, sessions.element),
    level >= 2 ? make("section", { className: "part" }, make("h3", {}, "Settings"), settingsForm(controller, { ...staged.manifest, id }, redraw)) : "",
    make("section", { className: "part" }, make("h3", {}, "Files and versions"), make("p", {}, make("a", { href: `#artifacts/${encodeURIComponent(id)}` }, "Open it among the artifacts"), " to see its files, compare versions, and say who may use it.")),
    make("section", { className: "part" }, make("details", {}, make("summary", {}, "Manifest"), make("pre", { className: "result", tabIndex: 0 }, make("code", {}, JSON.stringify(found.manifest, null, 2))))),
  );
  const unwatch = watch((key) => {
    if (!area.isConnected) return unwatch();
    if (key !== id) return;
    drawProgress();
    news.soon(); // a step may have begun or ended a session
  });
  const news = lookOut(area, async () => {
    const running = await controller.call("list_running");
    const own = running.filter((session) => session.app_id === id);
    sessions.show(own);
    shared = app.daemon === true && app.singleton !== true ? [] : own;
    run.textContent = shared.length ? "Restart" : "Run";
    none.hidden = sessions.rows.size > 0;
  }, answer);
  drawProgress();
  await news.look();
  return news;
}

function headOf(app, { daemon_state: state, versions, last_modified: changed }) {
  const about = typeof app.description === "string" ? app.description : "";
  const last = Array.isArray(versions) && versions.length ? versions.at(-1).version : "a draft";
  return make(
    "div", { className: "artifact-head" },
    make("h2", {}, nameOfApp(app)),
    make("p", { className: "tags" }, make("code", {}, app.id), ...tagsOfApp(app)),
    about ? make("p", { className: "said" }, about) : null,
    make("p", { className: "soft small" }, `${last} · changed `, moment(changed)),
    state && state.failures ? make("p", { className: "notice" }, daemonText(state)) : null,
  );
}

function daemonText({ failures, reason, retry_in: wait }) {
  const times = failures === 1 ? "once" : `${failures} times in a row`;
  return `It failed ${times} (${reason}) and is started again${wait ? ` in ${Math.ceil(wait)} s` : " soon"}. Run starts it now, and counts anew.`;
}

function uninstallButton(controller, app, answer, go) {
  return carefulButton("Uninstall", "Really uninstall?", async () => {
    try {
      await controller.call("uninstall", { app_id: app.id });
      forget(app.id);
      announce(`${nameOfApp(app)} is uninstalled`);
      go("apps");
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  });
}
