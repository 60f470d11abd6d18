// A JavaScript client in its own process, driven by JSON lines on standard input and output.
// The same program as hypha/testing/worker.py; the operation `run` executes a piece of JavaScript.
"use strict";

const { performance } = require("node:perf_hooks");
const readline = require("node:readline");
const { WebSocket } = require("ws");

globalThis.WebSocket = WebSocket;
globalThis.self = globalThis; // where the encryption library looks for the random source
for (const level of ["log", "info", "warn", "debug"]) {
  console[level] = (...parts) => console.error(...parts);
}
const hypha = require("hypha-rpc").hyphaWebsocketClient;

const runs = {};
const events = [];
const servers = [];
const state = {};
let server = null;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

process.on("unhandledRejection", (error) => console.error("unhandled rejection", error));
process.on("uncaughtException", (error) => console.error("uncaught exception", error));

// A generator of random numbers with a seed (mulberry32), so that a run can be repeated.
function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

async function connect(config) {
  const connected = await hypha.connectToServer(config);
  servers.push(connected);
  return connected;
}


async function timed(proxy, call, delayMs, payloadBytes) {
  const record = { call, sent_at: Date.now() / 1000, answer: null, error: null };
  const start = performance.now();
  try {
    const payload = payloadBytes ? [new Uint8Array(payloadBytes).fill(0x5a)] : [];
    record.answer = await proxy.run(call, delayMs, ...payload);
  } catch (error) {
    record.error = String(error && error.message ? `${error.name}: ${error.message}` : error).slice(0, 500);
  }
  record.elapsed_s = (performance.now() - start) / 1000;
  if (record.error) await sleep(1000);
  return record;
}

const operations = {
  async connect(config) {
    server = await connect(config);
    const { workspace, client_id, manager_id, user, reconnection_token } = server.config;
    return { workspace, client_id, manager_id, user, reconnection_token };
  },

  async serve({ id = "lab", ...config }) {
    const info = await server.registerService({
      id,
      config,
      run: async (call, delayMs, payload) => {
        runs[call] = (runs[call] || 0) + 1;
        if (delayMs) await sleep(delayMs);
        return call;
      },
      echo: (value) => value,
      fail: (text) => {
        throw new Error(text);
      },
      count: async function* (n) {
        for (let i = 0; i < n; i++) yield i;
      },
    });
    return info.id;
  },

  async call({ service, function: name, args = [] }) {
    const proxy = await server.getService(service);
    return await proxy[name](...args);
  },

  async load(plan) {
    const { service, prefix, loops = 8, calls = null, seconds = null } = plan;
    const { max_delay_ms: maxDelayMs = 50, payload_bytes: payloadBytes = 0, seed = 0 } = plan;
    const proxy = await server.getService(service);
    const random = seeded(seed);
    const end = seconds === null ? Infinity : performance.now() + seconds * 1000;
    const records = [];
    let next = 0;
    const loop = async () => {
      while (performance.now() < end) {
        const number = next++;
        if (calls !== null && number >= calls) return;
        records.push(await timed(proxy, `${prefix}-${number}`, random() * maxDelayMs, payloadBytes));
      }
    };
    await Promise.all(Array.from({ length: loops }, loop));
    return records;
  },

  async runs() {
    return runs;
  },

  async events({ types }) {
    for (const type of types) server.on(type, (event) => events.push(event));
    await server.subscribe(types);
  },

  async seen_events() {
    return events.map((event) => ({ type: event.type, data: event.data }));
  },

  async emit(event) {
    await server.emit(event);
  },

  async drop() {
    server.rpc._connection._websocket.terminate();
  },

  async is_closed() {
    return server.rpc._connection._closed;
  },

  async disconnect() {
    await server.disconnect();
  },

  async run({ script, args }) {
    const AsyncFunction = Object.getPrototypeOf(async function () {}).constructor;
    const body = new AsyncFunction("hypha", "args", "state", "connect", "sleep", script);
    return await body(hypha, args, state, connect, sleep);
  },
};

async function handle(line) {
  const request = JSON.parse(line);
  const reply = { id: request.id };
  try {
    reply.value = (await operations[request.op](request.args || {})) ?? null;
  } catch (error) {
    reply.error = error && error.message !== undefined ? `${error.name}: ${error.message}` : String(error);
  }
  const text = JSON.stringify(reply, (_, value) => (typeof value === "bigint" ? value.toString() : value));
  process.stdout.write(text + "\n");
}

const input = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
input.on("line", handle);
input.on("close", async () => {
  await Promise.race([Promise.allSettled(servers.map((each) => each.disconnect())), sleep(1000)]);
  process.exit(0);
});
