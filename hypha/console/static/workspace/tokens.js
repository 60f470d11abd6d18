// Tokens for programs: make, list, revoke.

import { manager, workspace } from "./api.js";
import { announce, carefulButton, copyButton, failure, make, moment, nothing, table } from "./dom.js";

const LIVES = [[3600, "1 hour"], [86400, "1 day"], [30 * 86400, "30 days"], [365 * 86400, "1 year"]];
const LEVELS = [["read", "Call services"], ["read_write", "Register services too"], ["admin", "Do everything"]];

export async function show(area) {
  const made = make("div", { "aria-live": "polite" });
  const list = make("div", {});
  area.replaceChildren(
    make("div", { className: "area-head" }, make("h2", {}, "Tokens")),
    make("p", { className: "soft" }, "A token lets a program act in this workspace, with at most your own rights."),
    tokenForm(made, () => load(list)),
    made,
    make("h3", {}, "Valid tokens"),
    list,
  );
  await load(list);
}

function tokenForm(made, onMade) {
  const name = make("input", { id: "token-name", type: "text", maxLength: 100, autocomplete: "off", placeholder: "e.g. Microscope in room 3" });
  const level = select("token-level", LEVELS, "read_write");
  const life = select("token-life", LIVES, 86400);
  const submit = make("button", { type: "submit", className: "button primary" }, "Generate token");
  const field = (label, input) => make("div", { className: "field" }, make("label", { for: input.id }, label), input);
  const form = make("form", { className: "card inline-form" }, field("Name", name), field("It may", level), field("Valid for", life), make("div", { className: "actions" }, submit));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    const config = { workspace, permission: level.value, expires_in: Number(life.value) };
    if (name.value.trim()) config.name = name.value.trim();
    try {
      made.replaceChildren(newToken(await manager("generate_token", { config })));
      announce("The token is made. Copy it now.");
      onMade();
    } catch (error) {
      made.replaceChildren(failure(error));
    }
    submit.disabled = false;
  });
  return form;
}

function newToken(text) {
  const box = make("textarea", { id: "new-token", readOnly: true, rows: 4, value: text, className: "mono" });
  box.addEventListener("focus", () => box.select());
  return make(
    "div", { className: "card new-token" },
    make("div", { className: "result-head" }, make("label", { for: "new-token" }, "Copy the token now: it is not shown again."), copyButton(() => text)),
    box,
  );
}

async function load(list) {
  let tokens;
  try {
    tokens = await manager("list_tokens", { workspace });
  } catch (error) {
    const isMissing = error.status === 404;
    list.replaceChildren(isMissing ? revokeForm() : failure(error));
    return;
  }
  if (!tokens.length) {
    list.replaceChildren(nothing("No token is valid for this workspace."));
    return;
  }
  list.replaceChildren(table("Valid tokens", ["Name", "For", "Permission", "Last used", "Ends", ""], tokens.map((token) => [
    token.name || make("code", {}, String(token.id).slice(0, 8)),
    token.client_id || token.user_id || "",
    token.permission || "",
    moment(token.last_used_at),
    moment(token.expires_at),
    carefulButton("Revoke", "Really revoke?", async () => {
      await manager("revoke_token", { token: token.id }).then(() => announce("Revoked"), (error) => announce(error.message));
      await load(list);
    }),
  ])));
}

function revokeForm() {
  const input = make("input", { id: "revoke", type: "password", autocomplete: "off" });
  const answer = make("div", { "aria-live": "polite" });
  const form = make("form", { className: "card inline-form" }, make("div", { className: "field" }, make("label", { for: "revoke" }, "Revoke a token"), input), make("div", { className: "actions" }, make("button", { className: "button", type: "submit" }, "Revoke")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await manager("revoke_token", { token: input.value.trim() }).then(
      () => answer.replaceChildren(nothing("The token is no longer valid.")),
      (error) => answer.replaceChildren(failure(error)),
    );
  });
  return make("div", {}, form, answer);
}

function select(id, options, chosen) {
  return make("select", { id }, ...options.map(([value, text]) => make("option", { value: String(value), selected: value === chosen }, text)));
}
