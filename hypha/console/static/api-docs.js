// Shows /openapi.json as a page to read.
"use strict";

const shownUrl = correctUrls();

function exampleOf(method, path, operation) {
  const body = operation.requestBody ? " \\\n  -H 'Content-Type: application/json' -d '{}'" : "";
  const verb = method === "get" ? "" : `-X ${method.toUpperCase()} `;
  return `curl ${verb}"${shownUrl}${path}"${body}`;
}

function operationRow(path, method, operation) {
  const summary = make("summary", {}, make("span", { className: "method", textContent: method.toUpperCase() }));
  summary.append(make("code", { textContent: path }), " ", make("span", { className: "soft small" }, ...proseOf(operation.summary)));
  const details = make("details", {}, summary);
  if (operation.description) details.append(make("p", { className: "small" }, ...proseOf(operation.description)));
  details.append(make("div", { className: "block" }, make("pre", { tabIndex: 0 }, make("code", { textContent: exampleOf(method, path, operation) }))));
  const body = operation.requestBody && operation.requestBody.content["application/json"];
  if (body && body.schema && body.schema.properties) {
    details.append(make("pre", { className: "schema", tabIndex: 0, textContent: JSON.stringify(body.schema.properties, null, 2) }));
  }
  return make("li", {}, details);
}

async function show() {
  try {
    const description = await getJson("/openapi.json");
    $("about").textContent = description.info.description;
    const groups = new Map();
    for (const [path, operations] of Object.entries(description.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const group = operation.tags[0];
        if (!groups.has(group)) groups.set(group, []);
        groups.get(group).push(operationRow(path, method, operation));
      }
    }
    for (const [name, rows] of groups) {
      const title = make("h2", { textContent: name[0].toUpperCase() + name.slice(1) });
      $("groups").append(make("section", {}, title, make("ul", { className: "rows" }, ...rows)));
    }
    addCopyButtons();
  } catch (error) {
    $("about").textContent = error.message;
  }
}

show();
