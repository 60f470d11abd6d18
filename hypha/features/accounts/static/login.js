// The login page. Tokens stay in memory or in a cookie that scripts cannot read, never in an address.
"use strict";

const facts = JSON.parse(document.body.dataset.facts);
// tells the server that a script of its own pages asks: only then does the session's cookie count
const PAGE_HEADERS = { "X-Hypha-Page": "1" };
const query = new URLSearchParams(location.search);
const key = query.get("key") || "";
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

let token = "";        // of a sign-in on this page, for frames in which cookies don't work
let session = { user: null, providers: [] };
let pending = {};      // what was typed at sign-up or for a reset, until the code is there
let administrator = "";
let invitation = "";

// -- talking to the server ---------------------------------------------------------------------

async function post(url, body) {
  const headers = { "Content-Type": "application/json", ...PAGE_HEADERS };
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin" });
  } catch {
    throw new Error("The server does not answer. Please try again.");
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok || (data && data.success === false)) {
    throw new Error((data && (data.error || data.detail)) || "The server could not do that. Please try again.");
  }
  return data;
}

const call = (name, body) => post(`${facts.session}../../services/hypha-login/${name}`, body);
const page = (name, body = {}) => post(facts.session + name, body);

async function loadSession() {
  const headers = token ? { Authorization: `Bearer ${token}`, ...PAGE_HEADERS } : PAGE_HEADERS;
  const answer = await fetch(`${facts.session}session`, { headers, credentials: "same-origin" });
  if (answer.ok) session = await answer.json();
}

// -- showing -----------------------------------------------------------------------------------

function tell(text, isBad = false) {
  const notice = $("#notice");
  notice.classList.toggle("bad", isBad);
  notice.setAttribute("role", isBad ? "alert" : "status");
  notice.textContent = text;
}

function show(name, keepNotice = false) {
  if (!keepNotice) tell("");
  for (const view of $$(".view")) view.hidden = view.dataset.view !== name;
  const view = $(`[data-view="${name}"]`);
  const hash = ["sign-up", "forgot", "profile"].includes(name) ? `#${name}` : "";
  history.replaceState(null, "", location.pathname + location.search + hash);
  const heading = $("h1", view);
  heading.tabIndex = -1;
  const field = $$("input:not([hidden])", view).find((input) => !input.closest("details, [hidden]"));
  (field || heading).focus({ preventScroll: true });
}

function fill(name, text) {
  for (const place of $$(`[data-${name}]`)) place.textContent = text;
}

function dress() {
  for (const part of $$(".local")) part.hidden = !session.local;
  for (const part of $$("a.sign-up")) part.hidden = !session.sign_up;
  for (const part of $$("a.mail")) part.hidden = !session.mail;
  for (const part of $$(".waiting")) part.hidden = !key;
  for (const part of $$(".invited")) part.hidden = !invitation;
  for (const part of $$(".domains")) part.hidden = invitation || !(session.domains || []).length;
  fill("domains", (session.domains || []).join(", "));
  const place = $(".providers");
  place.replaceChildren(...(session.providers || []).map(providerLink));
  place.hidden = !place.childElementCount;
  if (!place.hidden && session.local) {
    const or = document.createElement("p");
    or.className = "or";
    or.textContent = "or with an account of this server";
    place.append(or);
  }
  const user = session.user;
  if (!user) return;
  fill("name", user.name);
  fill("mail", user.email && user.email !== user.name ? user.email : "");
  fill("id", user.id);
  fill("face", [...user.name][0].toUpperCase());
  fill("until", user.expires_at ? new Date(user.expires_at * 1000).toLocaleString() : "");
  const link = $("a[data-workspace]");
  link.textContent = user.workspace;
  link.href = `${facts.home}${encodeURIComponent(user.workspace)}/`;
  for (const part of $$("details.own")) part.hidden = !user.is_local;
  $(".unproven").hidden = !(user.is_local && session.mail && !user.email_verified);
  $(".inviting").hidden = !(user.is_admin && session.invites);
  if (user.is_local) showHeld().catch(() => {});
  $('[data-form="name"] [name="name"]').value = user.name;
  $('[data-form="password"] [name="username"]').value = user.email || "";
}

async function showHeld() {
  const { workspaces } = await call("held_workspaces", {});
  $(".held").hidden = !workspaces.length;
  $("[data-held]").replaceChildren(...workspaces.map((workspace) => {
    const item = document.createElement("li");
    const others = workspace.owners_before.length ? `, shared with ${workspace.owners_before.join(", ")}` : "";
    item.append(`${workspace.name || workspace.id} (${workspace.id}${others}) `);
    for (const [word, name] of [["Keep", "keep_workspace"], ["Delete", "drop_workspace"]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = word;
      button.setAttribute("aria-label", `${word} ${workspace.id}`);
      button.addEventListener("click", () => busy(button, async () => {
        await call(name, { workspace: workspace.id });
        await showHeld();
      }));
      item.append(button);
    }
    return item;
  }));
}

function providerLink(provider) {
  const url = new URL(provider.url, location.href);
  if (key) url.searchParams.set("key", key);
  if (facts.redirect.startsWith("/")) url.searchParams.set("redirect", facts.redirect);
  const link = document.createElement("a");
  link.className = "provider";
  link.href = url.href;
  link.textContent = `Continue with ${provider.name}`;
  return link;
}

// -- steps -------------------------------------------------------------------------------------

async function signIn(email, password) {
  const answer = await call("login", { email, password });
  token = answer.token;
  await page("session").catch(() => {});  // a frame of another site may be without cookies
  await loadSession();
  pending = {};
  dress();
  proceed();
}

function proceed() {
  if (key) {
    fill("key", key.slice(-6));
    const workspace = query.get("workspace");
    fill("scope", workspace ? `what you may do in the workspace ${workspace}` : "everything that you may do");
    fill("life", lifeText(Number(query.get("expires_in")), workspace));
    show("approve");
    hold();
  } else {
    finish("signed-in", "You are signed in", "You can close this page.");
  }
}

// A page of others may lead here, or close itself over this one, between the two clicks of a double click: the
// second one, meant for that page, must not meet the button.
const CONSIDER_MS = 800;
let considered = 0;

function hold() {
  const button = $('[data-act="approve"]');
  button.disabled = true;
  clearTimeout(considered);
  considered = setTimeout(() => { button.disabled = document.visibilityState !== "visible"; }, CONSIDER_MS);
}

document.addEventListener("visibilitychange", hold);
// in a frame, which is one of our own pages, the first click brings the focus
if (window.top === window) window.addEventListener("focus", hold);

function lifeText(seconds, workspace) {
  if (!(seconds > 0)) return workspace ? "1 hour" : "24 hours";
  const capped = workspace ? seconds : Math.min(seconds, 86400);
  const [size, word] = capped >= 172800 ? [86400, "days"] : capped >= 7200 ? [3600, "hours"] : [60, "minutes"];
  return `${Math.max(1, Math.round(capped / size))} ${word}`;
}

function finish(status, title, text) {
  const others = [window.opener, window.parent !== window ? window.parent : null];
  for (const other of others) {
    if (other) other.postMessage({ type: "hypha-login", status, key }, facts.opener || location.origin);
  }
  if (facts.redirect && status !== "denied") {
    location.replace(facts.redirect);
    return;
  }
  $("[data-title]").textContent = title;
  $("[data-text]").textContent = text;
  show("done");
  if (window.opener && query.get("mode") === "popup") window.close();
}

const forms = {
  "sign-in": (field) => signIn(field.email, field.password),

  async "sign-up"(field) {
    const answer = await call("signup", invitation ? { ...field, invitation } : field);
    pending = { ...field, email: answer.email };
    await afterCode(answer);
  },

  async administrator(field) {
    await call("create_administrator", { ...field, link: administrator });
    administrator = "";
    await signIn(field.email, field.password);
    tell("You are the administrator of this server.");
  },

  async verify(field) {
    await call("verify_email", { email: pending.email, code: field.code, password: pending.password });
    await signIn(pending.email, pending.password);
  },

  async forgot(field) {
    await call("request_password_reset", { email: field.email });
    pending = { email: field.email };
    fill("email", field.email);
    show("reset");
  },

  async reset(field) {
    await call("reset_password", {
      email: pending.email, code: field.code, new_password: field.password, revoke_tokens: Boolean(field.tokens),
    });
    await signIn(pending.email, field.password);
  },

  async name(field) {
    await call("update_profile", { name: field.name });
    await loadSession();
    dress();
    tell("Your name is saved.");
  },

  async password(field, form) {
    await call("update_profile", {
      current_password: field.current, new_password: field.password, revoke_tokens: Boolean(field.tokens),
    });
    form.reset();
    form.closest("details").open = false;
    tell("Your new password is saved. Everywhere else you are signed out.");
  },

  async proof(field, form) {
    const place = $(".proof-code");
    const code = place.hidden ? null : field.code;
    const answer = await call("prove_email", { current_password: field.current, code });
    if (answer.code_sent) {
      place.hidden = false;
      $("input", place).required = true;
      $("button:not(.peek)", form).textContent = "Prove";
      tell("A code is on its way to your address.");
      return;
    }
    await signIn(session.user.email, field.current);
    form.closest("details").open = false;
    tell("Your e-mail address is proven.");
  },

  async invite(field) {
    const made = await call("create_invitation", {
      expires_in: Number(field.life), uses: Number(field.uses), email: field.email || null,
    });
    $("[data-invitation]").value = made.link;
    $(".invitation").hidden = false;
    $("[data-invitation]").focus();
    tell("Send this link to the person.");
  },

  async token(field) {
    const config = { permission: field.permission, expires_in: Number(field.life) };
    const workspace = encodeURIComponent(session.user.workspace);
    const made = await post(`${facts.home}${workspace}/services/ws/generate_token`, { config });
    $("[data-token]").value = made;
    $(".token").hidden = false;
    $("[data-token]").focus();
    tell("Keep the token as you keep a password.");
  },
};

async function afterCode(answer) {
  if (answer.dev_code) {  // no e-mail here: the server hands the code out itself
    await forms.verify({ code: answer.dev_code });
    return;
  }
  fill("email", pending.email);
  show("verify");
}

const acts = {
  async resend() {
    await call("resend_code", { email: pending.email });
    tell("A new code is on its way.");
  },
  async approve() {
    const body = { key };
    if (query.get("workspace")) body.workspace = query.get("workspace");
    if (Number(query.get("expires_in")) > 0) body.expires_in = Number(query.get("expires_in"));
    await page("approve", body);
    finish("approved", "The program may go on", "It has what it needs. You can close this page.");
  },
  async deny() {
    finish("denied", "Nothing was allowed", "The program gets no token. You can close this page.");
  },
  async switch() {
    await leave();
    show("sign-in");
  },
  async logout() {
    await leave();
    show("sign-in");
    tell("You are signed out.");
  },
  async copyInvitation() {
    await navigator.clipboard.writeText($("[data-invitation]").value);
    tell("Copied.");
  },
  async copy() {
    await navigator.clipboard.writeText($("[data-token]").value);
    tell("Copied.");
  },
};

async function leave() {
  await page("logout");
  token = "";
  await loadSession();
  dress();
}

// -- events ------------------------------------------------------------------------------------

async function busy(button, work) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    tell(error.message, true);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

for (const form of $$("form")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tell("");
    const wrong = $$("input", form).find((input) => {
      input.setAttribute("aria-invalid", String(!input.validity.valid));
      return !input.validity.valid;
    });
    if (wrong) {
      const label = wrong.closest("label").firstChild.textContent.trim();
      tell(`${label}: ${wrong.validationMessage}`, true);
      wrong.focus();
      return;
    }
    const field = Object.fromEntries(new FormData(form));
    busy($("button.main, button:not(.peek)", form), () => forms[form.dataset.form](field, form));
  });
}

for (const button of $$("[data-act]")) {
  button.addEventListener("click", () => busy(button, acts[button.dataset.act]));
}

for (const input of $$('input[type="password"]')) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "peek";
  button.textContent = "Show";
  button.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-label", "Show password");
  const field = document.createElement("span");
  field.className = "field";
  input.replaceWith(field);
  field.append(input, button);
  button.addEventListener("click", () => {
    const isShown = input.type === "text";
    input.type = isShown ? "password" : "text";
    button.textContent = isShown ? "Show" : "Hide";
    button.setAttribute("aria-pressed", String(!isShown));
  });
}

function byAddress() {
  const name = location.hash.slice(1);
  if (name === "profile" && !session.user) return show("sign-in");
  if (name === "sign-up" && (session.sign_up || invitation)) return show("sign-up");
  if (name === "forgot" && session.mail) return show("forgot");
  if (name === "profile") return show("profile");
  if (name === "sign-in" || !session.user) return show("sign-in");
  if (key || facts.redirect || facts.opener || query.get("mode")) return proceed();
  return show("profile");
}

window.addEventListener("hashchange", byAddress);

async function begin() {
  for (const link of $$("[data-home]")) link.href = facts.home;
  if (facts.problem) {
    show("problem");
    tell(facts.problem, true);
    return;
  }
  if (location.hash.startsWith("#administrator=")) {
    administrator = decodeURIComponent(location.hash.slice("#administrator=".length));
    history.replaceState(null, "", location.pathname + location.search);
    show("administrator");
    return;
  }
  if (location.hash.startsWith("#invitation=")) {
    invitation = decodeURIComponent(location.hash.slice("#invitation=".length));
    history.replaceState(null, "", location.pathname + location.search);
  }
  await loadSession();
  dress();
  if (invitation) return show("sign-up");
  if (query.get("logout") && session.user) return show("leave");
  byAddress();
}

begin().catch(() => tell("The server does not answer. Please reload the page.", true));
