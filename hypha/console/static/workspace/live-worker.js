// Runs the published client; hands the workspace's events to the page, and calls what the page asks for.
"use strict";

const TYPES = [
  "service_added", "service_removed", "client_connected", "client_updated", "client_disconnected",
  "workspace_changed", "workspace_loaded", "workspace_unloaded", "workspace_deleted", "app_daemon_failed",
];
const CALL_TIMEOUT_S = 900;
console.info = console.log = console.debug = () => {};

let connected = null;
const found = new Map();

self.onmessage = ({ data }) => {
  if (data.kind === "call") call(data);
  else connected = connect(data);
};

async function connect({ script, ...options }) {
  try {
    importScripts(script);
    const server = await self.hyphaWebsocketClient.connectToServer({ ...options, name: "Workspace page", method_timeout: CALL_TIMEOUT_S });
    for (const type of TYPES) server.on(type, (event) => tell(type, event));
    await server.subscribe(TYPES);
    self.postMessage({ kind: "on", text: "Live" });
    return server;
  } catch (error) {
    self.postMessage({ kind: "off", text: `Not live: ${String(error.message || error).slice(0, 300)}` });
    return null;
  }
}

/** Call a function with named arguments; with `steps` the page hears of each one. */
async function call({ id, service, name, args, steps }) {
  const progress_callback = (step) => void self.postMessage({ kind: "step", id, step: plain(step) });
  try {
    const server = await connected;
    if (!found.has(service)) found.set(service, await server.getService(service));
    const value = await found.get(service)[name]({ ...args, ...(steps ? { progress_callback } : {}), _rkwargs: true });
    self.postMessage({ kind: "answer", id, value });
  } catch (error) {
    found.delete(service); // it may have come back as another one
    self.postMessage({ kind: "refusal", id, text: String((error && error.message) || error) });
  }
}

const plain = (value) => JSON.parse(JSON.stringify(value ?? null));

function tell(type, event) {
  self.postMessage({ kind: "event", type, data: plain((event && event.data) ?? event) });
}
