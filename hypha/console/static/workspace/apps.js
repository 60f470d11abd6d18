// Apps of the workspace: what is installed, what runs, and starting it.

import { showApp } from "./app.js";
import { Controller } from "./controller.js";
import { announce, button, failure, make, nothing } from "./dom.js";
import { nameOfApp, startApp, tagsOfApp } from "./installed.js";
import { installDropped, showInstall } from "./install.js";
import { lookOut } from "./looking.js";
import { operationOf, watch } from "./operations.js";
import { SessionList } from "./sessions.js";
import { dropZone } from "./uploading.js";
import { countText } from "./words.js";
import { workerList } from "./workers.js";

const PAGE = 50;
const ABSENT = "This server runs no apps. Who runs it can turn them on with the option --enable-server-apps.";

/** Show all apps, or the one whose id is `chosen`. */
export async function show(area, parts) {
  const controller = new Controller(parts.live);
  area.replaceChildren(make("div", { className: "area-head" }, make("h2", {}, "Apps")), make("p", { className: "soft" }, "Looking for apps…"));
  try {
    if (!(await controller.isThere())) {
      area.replaceChildren(make("div", { className: "area-head" }, make("h2", {}, "Apps")), nothing(ABSENT));
      return {};
    }
  } catch (error) {
    area.replaceChildren(failure(error));
    return {};
  }
  const isInstalling = parts.chosen === "+install";
  if (isInstalling && parts.level >= 2) return showInstall(area, controller, parts);
  return parts.chosen && !isInstalling ? showApp(area, controller, parts) : showAll(area, controller, parts);
}

async function showAll(area, controller, { go, level }) {
  const answer = make("div", { "aria-live": "polite" });
  const sessions = new SessionList(controller, { go, onChange: () => news.look() });
  const none = nothing("No app runs now.");
  const stopAll = level >= 2 ? button("Stop all", () => controller.call("stop_all").then(() => news.look(), (error) => answer.replaceChildren(failure(error))), "small quiet danger", { hidden: true }) : null;
  const workers = workerList(controller, level);
  const list = new AppList(controller, { go, answer, look: () => news.look() });
  area.replaceChildren(
    make("div", { className: "area-head" }, make("h2", {}, "Apps"), level >= 2 ? button("Install an app", () => go("apps", "+install"), "small primary") : null),
    make("p", { className: "soft" }, "Programs that are kept here. A worker runs them: when you start them, or when somebody looks for one of their services."),
    answer,
    make("section", { className: "part" }, make("div", { className: "area-head" }, make("h3", {}, "Running"), stopAll), none, sessions.element),
    make("section", { className: "part" }, make("h3", {}, "Installed"), list.element),
    make("section", { className: "part" }, make("h3", {}, "Workers"), workers.element),
  );
  if (level >= 2) dropZone(area, (files) => installDropped(files, go));
  const news = lookOut(area, async () => {
    const running = await controller.call("list_running");
    sessions.show(running);
    none.hidden = sessions.rows.size > 0;
    if (stopAll) stopAll.hidden = running.length < 2;
    list.mark(running);
  }, answer);
  await Promise.all([news.look(), list.load(), workers.load()]);
  return {
    onEvent: (type, data) => {
      news.onEvent(type);
      if (/^service_/.test(type) && data?.type === "server-app-worker") workers.load();
    },
  };
}

class AppList {
  constructor(controller, { go, answer, look }) {
    Object.assign(this, { controller, go, answer, look, apps: [], most: PAGE, running: new Set(), rows: new Map() });
    this.search = make("input", { type: "search", id: "app-search", placeholder: "Find words in names and descriptions", autocomplete: "off" });
    this.find = make("div", { className: "field find", hidden: true }, make("label", { className: "unseen", for: "app-search" }, "Find apps"), this.search);
    this.list = make("ul", { className: "rows card app-list", hidden: true });
    this.none = make("div", {});
    this.more = button("Show more", () => ((this.most += PAGE), this.draw()), "small", { hidden: true });
    this.search.addEventListener("input", () => ((this.most = PAGE), this.draw()));
    this.element = make("div", {}, this.find, this.none, this.list, this.more);
    const unwatch = watch((key) => (this.element.isConnected ? this.rows.get(key)?.update() : unwatch()));
  }

  async load() {
    try {
      this.apps = await this.controller.call("list_apps");
      this.apps.sort((a, b) => nameOfApp(a).localeCompare(nameOfApp(b)));
      this.draw();
    } catch (error) {
      this.none.replaceChildren(failure(error));
    }
  }

  /** Say which apps run. */
  mark(sessions) {
    this.running = new Set(sessions.filter(({ status }) => status !== "stopped").map((session) => session.app_id));
    this.rows.forEach((row) => row.update());
  }

  draw() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.apps.filter((app) => words.every((word) => [app.id, app.name, app.description, app.type].join(" ").toLowerCase().includes(word)));
    this.find.hidden = this.apps.length < 8;
    this.rows.clear();
    this.list.replaceChildren(...found.slice(0, this.most).map((app) => this.row(app)));
    this.list.hidden = !found.length;
    this.more.hidden = found.length <= this.most;
    this.none.replaceChildren(found.length ? "" : nothing(words.length ? "No app has these words." : "No app is installed here yet."));
    if (words.length) announce(countText(found.length, "app"));
  }

  row(app) {
    const link = make("a", { href: `#apps/${encodeURIComponent(app.id)}` }, make("strong", {}, nameOfApp(app)));
    const run = button("Run", async () => {
      const starting = startApp(this.controller, app);
      this.go("apps", app.id);
      await starting.then(this.look, () => {}); // the page of the app tells why
    }, "small primary", { "aria-label": `Run ${nameOfApp(app)}` });
    const state = make("span", { className: "soft small" });
    const update = () => {
      const isStarting = operationOf(app.id)?.state === "running";
      const isRunning = this.running.has(app.id);
      run.disabled = isStarting || app.disabled === true;
      run.hidden = isRunning && !isStarting;
      state.textContent = isStarting ? "starting…" : isRunning ? "runs" : "";
      state.hidden = !state.textContent;
    };
    this.rows.set(app.id, { update });
    update();
    const about = typeof app.description === "string" ? app.description : "";
    return make(
      "li", { className: "app-row" },
      make("div", { className: "session-what" }, make("p", { className: "entry-title" }, link, ...tagsOfApp(app)), about ? make("p", { className: "summary-text" }, about.slice(0, 300)) : null, make("p", { className: "soft small" }, make("code", {}, app.id), app.version ? ` · ${String(app.version)}` : "")),
      make("span", { className: "row-actions" }, state, run),
    );
  }
}
