// The page of one workspace: its services, their functions, and how to call them.
"use strict";

const workspace = decodeURIComponent(location.pathname.slice(basePath.length).split("/")[1]);
const shownUrl = correctUrls();

function exampleOf(service, name, schema) {
  const properties = (schema.parameters && schema.parameters.properties) || {};
  const query = Object.keys(properties).map((key) => `${encodeURIComponent(key)}=…`).join("&");
  return `curl "${shownUrl}/${workspace}/services/${service.id}/${name}${query ? "?" + query : ""}"`;
}

function functionRow(service, [name, schema]) {
  const details = make("details", {}, make("summary", {}, make("code", { textContent: signatureOf(name, schema) })));
  if (schema.description) details.append(make("p", { className: "small soft", textContent: schema.description }));
  const code = make("code", { textContent: exampleOf(service, name, schema) });
  details.append(make("div", { className: "block" }, make("pre", {}, code)));
  return details;
}

function serviceRow(service) {
  const row = make("li", {}, make("h3", {}, service.name || service.id, make("span", { className: "tag", textContent: service.type })));
  row.append(make("p", { className: "small soft" }, make("code", { textContent: service.id })));
  if (service.description) row.append(make("p", { textContent: service.description }));
  for (const entry of functionsOf(service.service_schema)) row.append(functionRow(service, entry));
  return row;
}

async function show() {
  $("title").textContent = workspace;
  document.title = `${workspace} · Hypha`;
  getJson(`/${encodeURIComponent(workspace)}/info`)
    .then((info) => ($("about").textContent = info.description || ""))
    .catch(() => {});
  try {
    const services = await getJson(`/${encodeURIComponent(workspace)}/services/`);
    const rows = services.filter((service) => service.type !== "built-in").map(serviceRow);
    const none = make("li", { className: "soft", textContent: "There is no service here that you may see." });
    $("list").replaceChildren(...(rows.length ? rows : [none]));
    addCopyButtons($("list"));
  } catch (error) {
    $("list").replaceChildren(make("li", { className: "soft", textContent: error.message }));
  }
}

show();
