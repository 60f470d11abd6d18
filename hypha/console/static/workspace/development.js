// Writing apps: begin with a template, or go on with one that is there.

import { Controller } from "./controller.js";
import { back, Desk } from "./desk.js";
import { failure, make, nothing } from "./dom.js";
import { nameOfApp, tagsOfApp } from "./installed.js";
import { changedProjects, openProject } from "./projects.js";
import { TEMPLATES } from "./templates.js";

const ABSENT = "This server runs no apps. Who runs it can turn them on with the option --enable-server-apps.";
const MOST_APPS = 200;

/** `chosen` is the id of an app, or `+` and the name of a template. */
export async function show(area, parts) {
  const controller = new Controller(parts.live);
  area.replaceChildren(make("h2", {}, "Development"), make("p", { className: "soft" }, "Looking…"));
  try {
    if (!(await controller.isThere())) area.replaceChildren(make("h2", {}, "Development"), nothing(ABSENT));
    else if (!parts.chosen) await showChoice(area, controller);
    else return await new Desk(area, controller, parts).show(await openProject(controller, parts.chosen));
  } catch (error) {
    area.replaceChildren(back(parts.go), failure(error));
  }
  return {};
}

async function showChoice(area, controller) {
  const [apps, workers] = await Promise.all([controller.call("list_apps"), controller.call("list_workers").catch(() => [])]);
  const types = new Set(workers.flatMap((worker) => worker.supported_types));
  const changed = new Map(changedProjects());
  const link = (word, text) => make("a", { href: `#development/${encodeURIComponent(word)}` }, make("strong", {}, text));
  const begun = [...changed].filter(([word]) => word.startsWith("+"));
  const unsaved = (word) => (changed.has(word) ? make("span", { className: "tag changed" }, "not saved") : null);
  const own = apps.sort((a, b) => nameOfApp(a).localeCompare(nameOfApp(b))).slice(0, MOST_APPS);
  area.replaceChildren(
    make("div", { className: "area-head" }, make("h2", {}, "Development")),
    make("p", { className: "soft" }, "Write an app here, try it, and let others use it."),
    make("section", { className: "part" }, make("h3", {}, "Begin with a template"), make("ul", { className: "template-list card" }, ...TEMPLATES.map(({ name, title, type, about }) => make(
      "li", {},
      make("p", { className: "entry-title" }, link(`+${name}`, title), make("span", { className: "tag" }, type), unsaved(`+${name}`)),
      make("p", { className: "summary-text" }, about),
      types.has(type) ? null : make("p", { className: "soft small" }, "No worker here runs apps of this type."),
    )))),
    make("section", { className: "part" }, make("h3", {}, "Go on with an app"), own.length || begun.length ? make("ul", { className: "rows card" }, ...own.map((app) => make("li", {}, make("p", { className: "entry-title" }, link(app.id, nameOfApp(app)), ...tagsOfApp(app), unsaved(app.id)), make("p", { className: "soft small" }, make("code", {}, app.id))))) : nothing("No app is installed here yet.")),
  );
}
