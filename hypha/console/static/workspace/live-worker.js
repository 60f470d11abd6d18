// Runs the published client; hands the workspace's events to the page.
"use strict";

const TYPES = [
  "service_added", "service_removed", "client_connected", "client_updated", "client_disconnected",
  "workspace_changed", "workspace_loaded", "workspace_unloaded", "workspace_deleted",
];
console.info = console.log = console.debug = () => {};

self.onmessage = async ({ data }) => {
  const { script, ...options } = data;
  try {
    importScripts(script);
    const server = await self.hyphaWebsocketClient.connectToServer({ ...options, name: "Workspace page" });
    for (const type of TYPES) server.on(type, (event) => tell(type, event));
    await server.subscribe(TYPES);
    self.postMessage({ kind: "on", text: "Live" });
  } catch (error) {
    self.postMessage({ kind: "off", text: `Not live: ${String(error.message || error).slice(0, 300)}` });
  }
};

function tell(type, event) {
  const plain = JSON.parse(JSON.stringify((event && event.data) ?? event ?? null));
  self.postMessage({ kind: "event", type, data: plain });
}
