// What happens in the workspace: as it happens, and what was logged before.

import { manager } from "./api.js";
import { failure, make, nothing } from "./dom.js";

const SHOWN = 200;
const TEXTS = {
  service_added: "Service registered", service_removed: "Service removed", client_connected: "Client connected",
  client_disconnected: "Client left", client_updated: "Client updated", workspace_changed: "Workspace changed",
};

/** Events since the page was opened, newest first; kept while other parts are shown. */
const seen = [];

/** Remember an event of the live connection. */
export function remember(type, data) {
  seen.unshift({ type, data, time: new Date() });
  seen.length = Math.min(seen.length, SHOWN);
}

export async function show(area, { live }) {
  const state = make("p", { className: "live-state", id: "live-state", role: "status" });
  const list = make("ol", { className: "events card", id: "live-events" });
  const logged = make("div", {});
  const render = () => {
    state.replaceChildren(make("span", { className: `dot ${live.isOn() ? "on" : "off"}` }), live.text());
    list.replaceChildren(...seen.map(entry));
    if (!seen.length) list.append(make("li", {}, nothing("Nothing has happened since you opened this page.")));
  };
  area.replaceChildren(
    make("div", { className: "area-head" }, make("h2", {}, "Events"), state),
    list,
    make("h3", {}, "Logged by you"),
    logged,
  );
  render();
  try {
    const events = (await manager("get_events")).slice(-50).reverse();
    const rows = events.map((event) => entry({ type: event.event_type, data: event.data, time: new Date(timeOf(event)) }));
    logged.replaceChildren(rows.length ? make("ol", { className: "events card" }, ...rows) : nothing("Programs log events with log_event; there are none of yours."));
  } catch (error) {
    logged.replaceChildren(failure(error));
  }
  return { onEvent: render, onLive: render };
}

function timeOf(event) {
  const text = String(event.timestamp ?? "");
  return /[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`;
}

function entry({ type, data, time }) {
  const what = data && typeof data === "object" ? data.name || data.id || "" : (data ?? "");
  const detail = JSON.stringify(data, null, 2) ?? "";
  return make(
    "li", {},
    make("details", {}, make(
      "summary", {},
      make("time", {}, Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString()), " ",
      make("strong", {}, TEXTS[type] || type), " ",
      make("span", { className: "soft" }, String(what).slice(0, 120)),
    ), make("pre", { className: "result", tabIndex: 0 }, make("code", {}, detail.slice(0, 5000)))),
  );
}
