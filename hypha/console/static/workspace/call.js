// One function: what it does, its form, the result, and the same call for programs.

import { callFunction, isStream } from "./api.js";
import { button, copyButton, failure, make, tabBar } from "./dom.js";
import { FieldError, argumentForm } from "./form.js";
import { inline, prose } from "./prose.js";
import { showStream, showValue } from "./result.js";
import { parametersOf } from "./schema.js";
import { token } from "./session.js";
import { snippetsFor } from "./snippets.js";

/** The card of a function; it fills itself when it is opened. */
export function functionCard(service, { path, schema }) {
  const config = service.config || {};
  const parameters = parametersOf(schema, Boolean(config.require_context));
  const names = parameters.map(({ name, required }) => (required ? name : `${name}?`)).join(", ");
  const text = typeof schema.description === "string" ? schema.description.trim() : "";
  const summary = make(
    "summary", {},
    make("code", { className: "signature" }, make("strong", {}, path), `(${names})`),
    text ? make("span", { className: "summary-text" }, ...inline(text.split("\n")[0])) : null,
  );
  const card = make("details", { className: "function", "data-function": path }, summary);
  card.addEventListener("toggle", () => {
    if (card.open && card.children.length === 1) card.append(body(service, path, text, parameters));
  });
  return card;
}

function body(service, path, text, parameters) {
  const id = `f-${service.id}-${path}`.replace(/[^\w-]/g, "-");
  const form = argumentForm(parameters, id);
  const output = make("div", { className: "output", "aria-live": "polite" });
  const snippets = snippetPanel(service, path, form, `${id}-code`);
  const run = make("button", { type: "submit", className: "button primary" }, "Call");
  const stop = button("Stop", null, "quiet", { hidden: true });
  const element = make(
    "form", { className: "call", noValidate: true, "aria-label": `Call ${path}` },
    form.element,
    make("div", { className: "actions" }, run, stop, make("span", { className: "soft small keys" }, "Ctrl + Enter")),
  );
  element.addEventListener("input", snippets.update);
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element.requestSubmit();
  });
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    let args;
    try {
      args = form.read();
    } catch (error) {
      if (error instanceof FieldError) error.field.focus();
      return;
    }
    await runCall({ service, path, args, output, run, stop, onStream: snippets.setStream });
  });
  const rest = text.split("\n").slice(1).join("\n").trim();
  return make("div", { className: "function-body" }, rest ? prose(rest) : null, element, output, snippets.element);
}

async function runCall({ service, path, args, output, run, stop, onStream }) {
  const control = new AbortController();
  const started = performance.now();
  const took = () => `${Math.max(1, Math.round(performance.now() - started))} ms`;
  run.disabled = true;
  run.textContent = "Calling";
  stop.hidden = false;
  stop.onclick = () => control.abort();
  output.replaceChildren();
  try {
    const answer = await callFunction(service.id, path, args, control.signal);
    onStream(isStream(answer));
    await (isStream(answer) ? showStream : showValue)(output, answer, took);
  } catch (error) {
    if (error.name === "AbortError") output.append(make("p", { className: "soft" }, "Stopped."));
    else output.replaceChildren(failure(error), error.code ? make("p", { className: "soft small" }, make("code", {}, error.code), error.requestId ? ` · request ${error.requestId}` : "") : "");
  } finally {
    run.disabled = false;
    run.textContent = "Call";
    stop.hidden = true;
  }
}

function snippetPanel(service, path, form, id) {
  const bar = make("div", { className: "tabs", role: "tablist", "aria-label": "The same call for programs", id });
  const code = make("code", {});
  const panel = make("div", { className: "panel", role: "tabpanel", id: `${id}-panel` }, make("pre", { tabIndex: 0, "aria-label": "Code" }, code));
  panel.append(copyButton(() => code.textContent));
  let chosen = "python", streams = false;
  const needsToken = (service.config || {}).visibility === "protected" || Boolean(token());
  const update = () => {
    const all = snippetsFor(service, path, form.peek(), streams, needsToken);
    tabBar(bar, all, chosen, choose, panel.id);
    panel.setAttribute("aria-labelledby", `${id}-${chosen}`);
    code.textContent = all.find(([name]) => name === chosen)[2];
  };
  const choose = (name) => {
    chosen = name;
    update();
  };
  update();
  const setStream = (value) => {
    streams = value;
    update();
  };
  return { element: make("div", { className: "snippets card" }, bar, panel), update, setStream };
}
