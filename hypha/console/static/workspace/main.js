// The page of one workspace: who is here, which parts they may see, and moving between them.

import { getJson, manager, withToken, workspace } from "./api.js";
import * as apps from "./apps.js";
import * as artifacts from "./artifacts.js";
import * as clients from "./clients.js";
import * as development from "./development.js";
import { announce, button, byId, failure, make, tabBar } from "./dom.js";
import * as environment from "./environment.js";
import * as events from "./events.js";
import * as files from "./files.js";
import { connectLive } from "./live.js";
import * as services from "./services.js";
import { canSignIn, forgetToken, keepToken, signIn, token } from "./session.js";
import * as tokens from "./tokens.js";
import { forgetUnfinished } from "./unfinished.js";

const AREAS = [
  ["services", "Services", services, 0],
  ["apps", "Apps", apps, 1],
  ["development", "Development", development, 2],
  ["clients", "Clients", clients, 1],
  ["files", "Files", files, 1],
  ["artifacts", "Artifacts", artifacts, 0],
  ["tokens", "Tokens", tokens, 3],
  ["environment", "Environment", environment, 2],
  ["events", "Events", events, 1],
];
const LEVELS = { r: 1, rw: 2, a: 3 };
const NOT_LIVE = { isOn: () => false, text: () => "Not live", settled: async () => {} };
const LEVEL_TEXTS = ["", "read", "read and write", "admin"];

const page = { level: 0, user: null, shown: null, live: null, part: {}, hasArtifacts: false };

/** The parts of the address behind `#`: area, service, function. */
const place = () => location.hash.slice(1).split("/").map(decodeURIComponent);

function go(...words) {
  const hash = `#${words.filter(Boolean).map(encodeURIComponent).join("/")}`;
  if (location.hash === hash) render();
  else location.hash = hash;
}

async function render() {
  const [wanted, chosen, open] = place();
  const allowed = AREAS.filter(([word, , , level]) => level <= page.level && (word !== "artifacts" || page.hasArtifacts));
  const [name, text, module] = allowed.find(([word]) => word === wanted) || allowed[0];
  const bar = byId("areas");
  bar.hidden = allowed.length === 1;
  tabBar(bar, allowed, name, (word) => go(word), "area");
  const area = byId("area");
  area.setAttribute("aria-labelledby", `areas-${name}`);
  document.title = `${text} · ${workspace} · Hypha`;
  page.shown = name;
  // a fresh element each time: what a slower part still writes goes nowhere
  const inner = make("div", { className: `area-${name}` });
  area.replaceChildren(inner);
  page.part = {};
  const part = await module.show(inner, { chosen, open, go, level: page.level, live: page.live || NOT_LIVE });
  if (page.shown === name && inner.isConnected) page.part = part || {};
}

/** Strangers see the part for artifacts only where there are some for them. */
async function look() {
  const found = page.level > 0 ? [] : await getJson(`/${encodeURIComponent(workspace)}/artifacts/-/search?limit=1`).catch(() => []);
  page.hasArtifacts = page.level > 0 || found.length > 0;
}

/** Learn who is signed in and what they may do here. */
async function identify() {
  const config = await getJson("/assets/config.json").catch(() => ({}));
  page.user = config.user || null;
  page.level = 0;
  byId("notice").hidden = true;
  if (!page.user) return;
  try {
    const here = await manager("get_workspace_info");
    const status = await manager("check_status");
    if (here.id === workspace) {
      page.level = LEVELS[status.user_permission] || 0;
      byId("about").textContent = here.description || "";
    } else {
      byId("notice").textContent = `You act in ${here.id}. Here you see what is open to you.`;
      byId("notice").hidden = false;
    }
  } catch (error) {
    byId("notice").textContent = error.message;
    byId("notice").hidden = false;
  }
}

function showSession(message) {
  const box = byId("session");
  if (page.user) {
    const level = LEVEL_TEXTS[page.level];
    const who = make("span", { className: "who", title: page.user.id }, page.user.email || page.user.id);
    const leave = token() ? button("Sign out", () => {
      forgetToken();
      forgetUnfinished();
      location.reload(); // what this page knows and does goes with who was here
    }, "quiet small") : null;
    box.replaceChildren(who, level ? make("span", { className: "tag" }, level) : "", leave || "");
    return;
  }
  const dialog = signInDialog(message);
  box.replaceChildren(button("Sign in", () => dialog.showModal(), "primary small"), dialog);
  if (message) dialog.showModal();
}

function signInDialog(message) {
  const input = make("input", { id: "token", type: "password", autocomplete: "off", spellcheck: false });
  const answer = make("div", { "aria-live": "polite" }, message ? failure(new Error(message)) : "");
  let control = new AbortController();
  const form = make("form", { method: "dialog", className: "signin" }, make("div", { className: "field" }, make("label", { for: "token" }, "Token"), input, make("p", { className: "field-hint" }, "Kept in this tab until you close it.")), make("div", { className: "actions" }, make("button", { type: "submit", className: "button primary" }, "Use token"), button("Cancel", () => dialog.close(), "quiet")));
  const window_ = button("Sign in with your account", async () => {
    control = new AbortController();
    answer.replaceChildren(make("p", { className: "soft" }, "Waiting for you in the other window."));
    const { signal } = control;
    try {
      keepToken(await signIn(signal));
      dialog.close();
      start();
    } catch (error) {
      if (!signal.aborted) answer.replaceChildren(failure(error));
    }
  }, "wide", { hidden: true });
  canSignIn().then((can) => (window_.hidden = !can));
  const dialog = make("dialog", { "aria-labelledby": "signin-title" }, make("h2", { id: "signin-title" }, "Sign in"), window_, form, answer);
  dialog.addEventListener("close", () => control.abort());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!input.value.trim()) return input.focus();
    keepToken(input.value);
    dialog.close();
    start();
  });
  return dialog;
}

function connect() {
  if (page.live) page.live.close();
  page.live = null;
  if (page.level < 1) return;
  page.live = connectLive(
    (type, data) => {
      events.remember(type, data);
      if (page.part.onEvent) page.part.onEvent(type, data);
    },
    () => page.part.onLive && page.part.onLive(),
    page.level >= 2 ? "read_write" : "read",
  );
}

async function start() {
  byId("title").textContent = workspace;
  let refused = "";
  if (token()) {
    // a token that has expired is told once, and forgotten
    await manager("check_status").catch((error) => {
      if (error.status === 401) {
        forgetToken();
        refused = error.message;
      }
    });
  }
  await identify();
  await look();
  showSession(refused);
  connect();
  await render();
  announce(`Workspace ${workspace}`);
}

withToken(byId("openapi-link"));
addEventListener("hashchange", render);
start();
