// Who runs apps: the workers of the workspace, and those that everybody may use.

import { workspace } from "./api.js";
import { announce, button, copyButton, failure, make, nothing, table } from "./dom.js";

const NONE = "No worker is connected: apps can be installed as drafts, and nothing runs them.";

/** The list of workers: `element`, and `load()`. */
export function workerList(controller, level) {
  const box = make("div", {});
  const answer = make("div", { "aria-live": "polite" });
  const load = async () => {
    try {
      const workers = await controller.call("list_workers");
      box.replaceChildren(workers.length ? table("Workers", ["Worker", "Runs", "For", ""], workers.map(row)) : nothing(NONE));
    } catch (error) {
      box.replaceChildren(failure(error));
    }
  };
  const row = (worker) => {
    const own = worker.id.startsWith(`${workspace}/`);
    const name = worker.name || worker.id;
    const change = button(worker.disabled ? "Enable" : "Disable", async () => {
      change.disabled = true;
      answer.replaceChildren();
      try {
        await controller.call("edit_worker", { worker_id: worker.id, disabled: !worker.disabled });
        announce(`${name} is ${worker.disabled ? "enabled" : "disabled"}`);
      } catch (error) {
        answer.replaceChildren(failure(error));
      }
      await load();
    }, "small quiet", { "aria-label": `${worker.disabled ? "Enable" : "Disable"} ${name}`, title: worker.disabled ? "" : "No app is started on it any more; its sessions are stopped" });
    const copy = copyButton(() => worker.id);
    copy.textContent = "Copy id";
    return [
      make("span", {}, make("strong", {}, name), worker.disabled ? make("span", { className: "tag" }, "disabled") : "", worker.description ? make("span", { className: "soft small worker-about" }, String(worker.description).slice(0, 200)) : "", make("code", { className: "worker-about" }, worker.id)),
      make("span", { className: "worker-types" }, ...worker.supported_types.map((type) => make("span", { className: "tag" }, type))),
      own ? "this workspace" : "everybody",
      make("span", { className: "row-actions" }, copy, own && level >= 2 ? change : ""),
    ];
  };
  return { element: make("div", {}, answer, box), load };
}
