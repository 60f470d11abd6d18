// The live connection: the published client in a worker, so that this page itself needs no 'unsafe-eval'.

import { basePath, manager, reachedUrl, workspace } from "./api.js";
import { token } from "./session.js";

const LIFE_S = 3600;

/** Connect and hand every event to `onEvent(type, data)`; `onState()` is told of changes. */
export function connectLive(onEvent, onState) {
  const state = { isOn: false, text: "Connecting" };
  let worker = null;
  const set = (isOn, text) => {
    Object.assign(state, { isOn, text });
    onState();
  };
  (async () => {
    // signed in by cookie the page knows no token: it makes a short-lived one of its own
    const bearer = token() || (await manager("generate_token", { config: { workspace, permission: "read", expires_in: LIFE_S, name: "Workspace page" } }));
    worker = new Worker(`${basePath}/assets/workspace-live.js`, { name: "live" });
    worker.onmessage = ({ data }) => {
      if (data.kind === "event") onEvent(data.type, data.data);
      else set(data.kind === "on", data.text);
    };
    worker.onerror = () => set(false, "Not live: the connection could not be started");
    worker.postMessage({ server_url: reachedUrl, token: bearer, workspace, script: `${basePath}/assets/hypha-rpc-websocket.js` });
  })().catch((error) => set(false, `Not live: ${error.message}`));
  return {
    isOn: () => state.isOn,
    text: () => state.text,
    close: () => worker && worker.terminate(),
  };
}
