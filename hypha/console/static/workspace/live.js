// The live connection: the published client in a worker, so that this page itself needs no 'unsafe-eval'.

import { basePath, manager, reachedUrl, Refusal, workspace } from "./api.js";
import { token } from "./session.js";

const LIFE_S = 3600;
const RENEW_S = 3300;
const LATER_S = 60;
const SETTLE_MS = 8000;

/**
 * Connect and hand every event to `onEvent(type, data)`; `onState()` is told of changes. `permission` is what the connection may do
 * where this page has no token.
 */
export function connectLive(onEvent, onState, permission = "read") {
  const link = new Link(onEvent, onState, permission);
  link.open();
  return {
    isOn: () => link.isOn,
    text: () => link.text,
    settled: () => link.settled,
    call: (service, name, args, onStep) => link.call(service, name, args, onStep),
    close: () => link.close(),
  };
}

class Link {
  constructor(onEvent, onState, permission) {
    Object.assign(this, { onEvent, onState, permission, isOn: false, text: "Connecting", worker: null, timer: 0, isClosed: false });
    this.calls = new Map();
    this.count = 0;
    /** Resolves once it is known whether there is a connection, or nobody should wait for that any longer. */
    this.settled = new Promise((resolve) => {
      this.settle = resolve;
      setTimeout(resolve, SETTLE_MS);
    });
  }

  async open() {
    try {
      // signed in by cookie the page knows no token: it makes a short-lived one of its own
      const own = token();
      const bearer = own || (await manager("generate_token", { config: { workspace, permission: this.permission, expires_in: LIFE_S, name: "Workspace page" } }));
      if (this.isClosed) return;
      if (!own) this.timer = setTimeout(() => this.renew(), RENEW_S * 1000);
      const worker = new Worker(`${basePath}/assets/workspace-live.js`, { name: "live" });
      this.worker = worker;
      worker.onmessage = ({ data }) => this.hear(data);
      worker.onerror = () => this.set(false, "Not live: the connection could not be started");
      worker.postMessage({ server_url: reachedUrl, token: bearer, workspace, script: `${basePath}/assets/hypha-rpc-websocket.js` });
    } catch (error) {
      this.set(false, `Not live: ${error.message}`);
    }
  }

  /** The token of its own ends soon: connect anew, when nobody waits for an answer. */
  renew() {
    if (this.calls.size) this.timer = setTimeout(() => this.renew(), LATER_S * 1000);
    else {
      this.worker.terminate();
      this.open();
    }
  }

  set(isOn, text) {
    Object.assign(this, { isOn, text });
    this.settle();
    this.onState();
  }

  hear({ kind, ...said }) {
    if (kind === "event") return this.onEvent(said.type, said.data);
    if (kind === "on" || kind === "off") return this.set(kind === "on", said.text);
    const waiting = this.calls.get(said.id);
    if (!waiting) return;
    if (kind === "step") return waiting.onStep(said.step);
    this.calls.delete(said.id);
    if (kind === "answer") waiting.resolve(said.value);
    else waiting.reject(refusalOf(said.text));
  }

  /** Call a function of a service, acting in this workspace; `onStep` hears how far it is. */
  call(service, name, args, onStep) {
    return new Promise((resolve, reject) => {
      const id = (this.count += 1);
      this.calls.set(id, { resolve, reject, onStep });
      this.worker.postMessage({ kind: "call", id, service, name, args, steps: Boolean(onStep) });
    });
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
    if (this.worker) this.worker.terminate();
    for (const { reject } of this.calls.values()) reject(new Refusal({ detail: "The connection was closed." }, 0));
    this.calls.clear();
  }
}

/** An error as the client throws it, "RemoteError: KeyError: text", and then the same once more: what it says to people. */
export function refusalOf(text) {
  const said = text.replace(/^(\w+Error|Error): (?=\w+: )/, "");
  const half = (said.length - 1) / 2;
  const once = said[half] === "\n" && said.slice(0, half) === said.slice(half + 1) ? said.slice(0, half) : said;
  const [, kind = "", detail = once] = once.match(/^(\w+(?:Error|Exception|Reached|Exceeded|Failed|Delivered|Unknown)): ([^]*)$/) || [];
  return new Refusal({ detail, code: kind }, 0);
}
