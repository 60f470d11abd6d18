// What is under way with apps: starts, installs and commits, which go on while other parts of the page are shown.

import { announce, failure, make } from "./dom.js";

const MOST_STEPS = 200;
const LOGS = ", logs:\n";

const all = new Map();
const watchers = new Set();

/** What is under way or was last, of an app: `{title, steps, state, error}`; `state` is `running`, `done` or `failed`. */
export const operationOf = (key) => all.get(key);

/** Forget what was told of something that is over. */
export function forget(key) {
  if (all.get(key)?.state !== "running") all.delete(key);
}

/** Call `watcher(key)` whenever something happens; gives a function that ends that. */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** Do something step by step: `work(onStep)`. Gives what it gives, or throws what it throws. */
export async function operate(key, title, work) {
  const operation = { title, steps: [], state: "running", error: null, begun: performance.now() };
  all.set(key, operation);
  const tell = () => watchers.forEach((watcher) => watcher(key));
  tell();
  try {
    const value = await work((step) => {
      if (!step || typeof step.message !== "string" || operation.steps.length >= MOST_STEPS) return;
      operation.steps.push({ type: String(step.type), message: step.message, at: performance.now() - operation.begun });
      tell();
    });
    operation.state = "done";
    return value;
  } catch (error) {
    Object.assign(operation, { state: "failed", error });
    throw error;
  } finally {
    announce(`${title}: ${operation.state === "done" ? "done" : "failed"}`);
    tell();
  }
}

/** What is shown of an operation: its title, each step with its time, and why it failed, with the program's log. */
export function operationView(operation, close) {
  const { state, steps, title, error } = operation;
  const words = { running: "", done: " is done", failed: " failed" };
  const box = make(
    "div", { className: `operation card is-${state}` },
    make("p", { className: "operation-title" }, state === "running" ? make("span", { className: "spinner", "aria-hidden": "true" }) : make("span", { className: `dot ${state === "done" ? "on" : "off"}` }), make("strong", {}, `${title}${words[state]}`), state === "running" ? null : close),
    steps.length ? make("ol", { className: "steps" }, ...steps.map(stepOf)) : state === "running" ? make("p", { className: "soft small" }, "It has begun.") : null,
  );
  if (error) box.append(...failureParts(error));
  return box;
}

const stepOf = ({ type, message, at }) => make("li", { className: `step is-${["success", "warning", "error"].includes(type) ? type : "info"}` }, make("span", { className: "step-at" }, `${(at / 1000).toFixed(1)} s`), make("span", { className: "step-text" }, message));

/** Why something failed, and the program's log, if the error has one. */
export function failureParts(error) {
  const [said, ...log] = String(error.message || error).split(LOGS);
  if (!log.length) return [failure(error)];
  const text = log.join(LOGS).trim();
  return [failure(Object.assign(new Error(said), { hint: error.hint })), ...(text ? [make("p", { className: "soft small" }, "The log of the program:"), make("pre", { className: "result", tabIndex: 0 }, make("code", {}, text))] : [])];
}
