// Variables of the workspace: encrypted at rest, readable by its members.

import { manager } from "./api.js";
import { announce, button, carefulButton, failure, make, nothing, table } from "./dom.js";

export async function show(area) {
  const list = make("div", {});
  const answer = make("div", { "aria-live": "polite" });
  area.replaceChildren(
    make("div", { className: "area-head" }, make("h2", {}, "Environment")),
    make("p", { className: "soft" }, "Settings and secrets that programs in this workspace read with get_env. They are encrypted where they are stored."),
    addForm(answer, () => load(list)),
    answer,
    list,
  );
  await load(list);
}

async function load(list) {
  try {
    const variables = Object.entries(await manager("get_env"));
    variables.sort(([a], [b]) => a.localeCompare(b));
    list.replaceChildren(variables.length ? variableTable(variables, () => load(list)) : nothing("No variable is set."));
  } catch (error) {
    list.replaceChildren(failure(error));
  }
}

function variableTable(variables, reload) {
  return table("Variables", ["Name", "Value", ""], variables.map(([key, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const shown = make("code", { className: "secret" }, "••••••••");
    const toggle = button("Show", () => {
      const isHidden = toggle.textContent === "Show";
      shown.textContent = isHidden ? text : "••••••••";
      toggle.textContent = isHidden ? "Hide" : "Show";
    }, "small quiet", { "aria-label": `Show or hide ${key}` });
    const remove = carefulButton("Delete", "Really delete?", async () => {
      await manager("set_env", { key, value: null }).then(() => announce(`${key} is deleted`), (error) => announce(error.message));
      await reload();
    });
    return [make("code", {}, key), shown, make("span", { className: "row-actions" }, toggle, remove)];
  }));
}

function addForm(answer, reload) {
  const key = make("input", { id: "env-key", type: "text", autocomplete: "off", spellcheck: false, placeholder: "API_KEY" });
  const value = make("input", { id: "env-value", type: "text", autocomplete: "off", spellcheck: false });
  const field = (label, input) => make("div", { className: "field" }, make("label", { for: input.id }, label), input);
  const form = make("form", { className: "card inline-form" }, field("Name", key), field("Value", value), make("div", { className: "actions" }, make("button", { type: "submit", className: "button primary" }, "Set")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await manager("set_env", { key: key.value.trim(), value: value.value });
      announce(`${key.value} is set`);
      answer.replaceChildren();
      form.reset();
      await reload();
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  });
  return form;
}
