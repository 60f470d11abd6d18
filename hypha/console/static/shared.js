// Small things that all pages use.
"use strict";

const basePath = document.body.dataset.basePath;
const $ = (id) => document.getElementById(id);

/** URL under which this browser reached the server, without a slash at its end. */
const reachedUrl = location.origin + basePath;

/** Make an element: tag, its properties, its children (elements or text). */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A text in which `words` in back quotes are code. */
const proseOf = (text) => String(text).split("`").map((part, index) => (index % 2 ? make("code", { textContent: part }) : part));

/** Tells the server that a script of its own pages asks: only then does the session's cookie count. */
const PAGE_HEADERS = { "x-hypha-page": "1" };

/** Fetch JSON from a path of this server; throws an Error with the server's own sentence. */
async function getJson(path) {
  const answer = await fetch(basePath + path, { headers: { accept: "application/json", ...PAGE_HEADERS } });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail || `The server answered ${answer.status}.`);
  return body;
}

/** The server's announced URL in snippets is replaced where this browser came another way. */
function correctUrls() {
  const announced = document.body.dataset.baseUrl;
  const isLocal = /^https?:\/\/(127\.0\.0\.1|localhost)\b/.test(announced);
  const url = !announced || isLocal ? reachedUrl : announced;
  for (const place of document.querySelectorAll("[data-url]")) place.textContent = url;
  return url;
}

/** Give every block of code a button that copies it. */
function addCopyButtons(scope = document) {
  if (!navigator.clipboard) return;
  for (const block of scope.querySelectorAll(".panel, .block")) {
    const code = block.querySelector("code");
    if (!code || block.querySelector(".copy")) continue;
    const button = make("button", { className: "copy", type: "button", textContent: "Copy" });
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    block.append(button);
  }
}

/** A service's functions by dotted name, from its schema. */
function functionsOf(schema, prefix = "") {
  const found = [];
  for (const [name, part] of Object.entries(schema || {})) {
    if (!part || typeof part !== "object") continue;
    if (part.type === "function") found.push([prefix + name, part.function || {}]);
    else if (!Array.isArray(part) && typeof part.type !== "string") found.push(...functionsOf(part, `${prefix}${name}.`));
  }
  return found;
}

/** One line such as `hello(name, times)`. */
function signatureOf(name, schema) {
  const names = Object.keys((schema.parameters && schema.parameters.properties) || {});
  return `${name}(${names.join(", ")})`;
}
