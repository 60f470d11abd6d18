// What all pages of apps share: where the server is, who the app is, and how its script gets `api`.

/** The facts of the app, with what the address of the page says instead. The token stands behind `#`. */
function readApp(text, address) {
  const app = JSON.parse(text);
  const url = new URL(address);
  const given = Object.fromEntries([...url.searchParams, ...new URLSearchParams(url.hash.slice(1))]);
  const own = url.protocol.startsWith("http") ? url.origin : undefined;
  const config = {
    server_url: given.server_url || app.server_url || own,
    workspace: given.workspace,
    client_id: given.client_id,
    token: given.token,
    app_id: given.app_id || app.app_id,
    name: app.name,
  };
  const connection = Object.fromEntries(Object.entries(config).filter(([, value]) => value));
  return { app: { ...app, app_id: config.app_id }, connection };
}

/** Environment of the script, as a Map. */
function environment({ server_url, workspace, client_id, token, app_id }) {
  return new Map([
    ["HYPHA_SERVER_URL", server_url],
    ["HYPHA_WORKSPACE", workspace],
    ["HYPHA_CLIENT_ID", client_id],
    ["HYPHA_TOKEN", token],
    ["HYPHA_APP_ID", app_id],
  ]);
}

/** Functions and values of an object, those of its class too, bound to it. */
function offered(thing) {
  const object = typeof thing === "function" && thing.prototype ? new thing() : thing;
  const found = {};
  for (let at = object; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) {
      if (name === "constructor" || name.startsWith("_") || name in found) continue;
      const value = object[name];
      found[name] = typeof value === "function" && at !== object ? value.bind(object) : value;
    }
  }
  return found;
}

/** What the script has exported, until it is registered: scripts need not wait for it. */
const offers = [];

/** The connection to the server, with `export`; `settled` is called once something is offered. */
async function connect({ app, connection }, settled) {
  const { connectToServer } = await import(new URL(
    "assets/hypha-rpc-websocket.mjs", connection.server_url.replace(/\/*$/, "/"),
  ).href);
  const api = await connectToServer(connection);
  const register = api.registerService;
  const registered = async (...given) => {
    const answer = await register.apply(api, given);
    settled();
    return answer;
  };
  Object.assign(api, { registerService: registered, register_service: registered });
  const offer = async (thing, config) => {
    const service = offered(thing);
    if (typeof service.setup === "function") await service.setup();
    delete service.setup;
    service.config = { ...service.config, ...config };
    return registered({ type: app.type, description: app.description, ...service, id: "default", name: app.name });
  };
  api.export = (thing, config) => {
    const promise = offer(thing, config);
    offers.push(promise);
    return promise;
  };
  api.log = api.log || console.log;
  return api;
}

const AsyncFunction = (async () => {}).constructor;

/** Run the script of the app: as a module where it imports something, else as a function. */
async function run(script, api, env) {
  globalThis.api = api;
  globalThis.env = env;
  if (!/^\s*(import\s*[\w{*"']|export\s)/m.test(script)) {
    await new AsyncFunction("api", "env", `${script}\n//# sourceURL=app.js`)(api, env);
    return;
  }
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  await import(url);
}

/** Text of an error, with where it happened. */
function told(error) {
  return String((error && error.stack && error.message && `${error.name}: ${error.message}\n${error.stack}`) || error);
}
