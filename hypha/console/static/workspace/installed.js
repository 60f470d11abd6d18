// Installed apps: what they are called, and starting them. Other people named them: all is text.

import { make } from "./dom.js";
import { operate } from "./operations.js";

/** Start an app, or the draft of it, step by step; `sessions` of it are stopped before. */
export function startApp(controller, app, sessions = [], isDraft = false) {
  return operate(app.id, `${sessions.length ? "Restarting" : "Starting"} ${nameOfApp(app)}`, async (onStep) => {
    for (const { id } of sessions) {
      onStep({ type: "info", message: `Stopping ${id}` });
      await controller.call("stop", { session_id: id, raise_exception: false });
    }
    return controller.call("start", { app_id: app.id, ...(isDraft ? { stage: true } : {}) }, onStep);
  });
}

export const nameOfApp = (app) => (typeof app.name === "string" && app.name) || app.id;

/** Words about an app that stand beside its name. */
export function tagsOfApp(app) {
  const words = [typeof app.type === "string" ? app.type : "", app.daemon === true ? "daemon" : "", app.singleton === true ? "singleton" : "", app.disabled === true ? "disabled" : ""];
  return words.filter(Boolean).map((word) => make("span", { className: "tag" }, word));
}
