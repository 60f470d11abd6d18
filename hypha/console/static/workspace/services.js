// The services of the workspace: a list to choose from, and the chosen one with its functions.

import { basePath, getJson, withToken, workspace } from "./api.js";
import { failure, make, nothing } from "./dom.js";
import { functionCard } from "./call.js";
import { inline, prose } from "./prose.js";
import { functionsOf } from "./schema.js";

const APPLICATIONS = ["asgi", "functions"];
const MANAGER = "~";

/** Show the services; `chosen` is the id in the address, `open` a function to open. */
export async function show(area, { chosen, open, go }) {
  const list = make("ul", { className: "service-list" });
  const filter = make("input", { type: "search", id: "filter", placeholder: "Find a service or function", autocomplete: "off" });
  const side = make("nav", { className: "side", "aria-label": "Services" }, make("label", { className: "unseen", for: "filter" }, "Find a service or function"), filter, list);
  const detail = make("div", { className: "detail", id: "detail" });
  area.replaceChildren(make("div", { className: "split" }, side, detail));
  let services;
  try {
    services = await load();
  } catch (error) {
    area.replaceChildren(failure(error));
    return;
  }
  const current = services.find(({ id }) => id === chosen) || services[0];
  const render = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = services.filter((service) => words.every((word) => service.words.includes(word)));
    list.replaceChildren(...shown.map((service) => listEntry(service, service === current, go)));
    if (!shown.length) list.append(make("li", {}, nothing("Nothing is called so.")));
  };
  filter.addEventListener("input", render);
  render();
  const mark = list.querySelector("[aria-current]");
  if (mark) list.scrollLeft = mark.offsetLeft - list.offsetLeft - 8;
  if (services.length === 1 && !chosen) detail.append(nothing("No service is registered here that you may see. Below are the functions of the workspace itself."));
  detail.append(serviceDetail(current, open));
}

async function load() {
  const name = encodeURIComponent(workspace);
  const [listed, manager] = await Promise.all([getJson(`/${name}/services/`), getJson(`/${name}/services/${MANAGER}`)]);
  const shown = listed.filter((service) => service.type !== "built-in");
  shown.sort((a, b) => titleOf(a).localeCompare(titleOf(b)));
  const own = { ...manager, id: "ws", name: "Workspace manager", description: "What everybody may ask of the workspace itself." };
  return [...shown, own].map((service) => {
    const functions = functionsOf(service.service_schema);
    const text = [service.id, service.name, service.description, service.type, ...functions.map(({ path }) => path)];
    return { ...service, functions, words: text.filter((part) => typeof part === "string").join(" ").toLowerCase() };
  });
}

const isApplication = (service) => APPLICATIONS.includes(String(service.type).toLowerCase());
const titleOf = (service) => (typeof service.name === "string" && service.name) || service.id;

function listEntry(service, isCurrent, go) {
  const count = service.functions.length;
  const content = isApplication(service) ? "Application" : `${count} function${count === 1 ? "" : "s"}`;
  const link = make(
    "a", { href: `#services/${encodeURIComponent(service.id)}`, "aria-current": isCurrent ? "true" : undefined },
    make("strong", {}, titleOf(service)),
    make("span", { className: "soft small" }, content),
  );
  link.addEventListener("click", (event) => {
    event.preventDefault();
    go("services", service.id);
  });
  return make("li", {}, link);
}

function serviceDetail(service, open) {
  const config = service.config || {};
  const id = encodeURIComponent(service.id).replace("%3A", ":");
  const base = `${basePath}/${encodeURIComponent(workspace)}/services/${id}`;
  const tags = [service.type, config.visibility].filter((tag) => typeof tag === "string" && tag && tag !== "generic");
  const head = make(
    "header", { className: "service-head" },
    make("h2", {}, titleOf(service)),
    make("p", { className: "tags" }, make("code", {}, service.id), ...tags.map((tag) => make("span", { className: tag === "public" ? "tag public" : "tag" }, tag))),
    typeof service.description === "string" ? make("p", {}, ...inline(service.description)) : null,
    make("p", { className: "small" }, withToken(make("a", { href: `${base}/openapi.json` }, "OpenAPI")), " · ", withToken(make("a", { href: base }, "Service info"))),
  );
  const docs = typeof service.docs === "string" && service.docs.trim();
  const cards = service.functions.map((entry) => functionCard(service, entry));
  const wanted = cards.find((card) => card.dataset.function === open) || (cards.length === 1 ? cards[0] : null);
  if (wanted) wanted.open = true;
  return make(
    "article", {},
    head,
    docs ? make("details", { className: "service-docs" }, make("summary", {}, "Documentation"), prose(docs)) : null,
    isApplication(service) ? applicationCard(`${basePath}/${encodeURIComponent(workspace)}/apps/${id}/`) : cards.length ? make("div", { className: "functions card" }, ...cards) : nothing("This service has no functions."),
  );
}

/** An application is opened, not called; its code must not reach this page. */
function applicationCard(path) {
  const link = make("a", { href: path, target: "_blank", rel: "noopener", className: "button primary" }, "Open the application");
  return make("div", { className: "card application" }, link, make("p", { className: "small" }, make("code", {}, location.origin + path)));
}
