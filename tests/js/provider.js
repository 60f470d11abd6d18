// A program as people write them: it offers a public service and catches nothing that the library throws. Its one
// argument is the configuration of the client; it says on standard output when it serves, and ends with its input.
"use strict";

const { WebSocket } = require("ws");

globalThis.WebSocket = WebSocket;
globalThis.self = globalThis; // where the encryption library looks for the random source
for (const level of ["log", "info", "warn", "debug"]) {
  console[level] = (...parts) => console.error(...parts);
}
const { connectToServer } = require("hypha-rpc").hyphaWebsocketClient;

async function main() {
  const server = await connectToServer(JSON.parse(process.argv[2]));
  const news = [];
  server.on("news", (event) => news.push(event));
  await server.subscribe(["news", "constructor"]);
  await server.registerService({
    id: "svc",
    config: { visibility: "public" },
    echo: (value) => value,
    take: (value) => typeof value,
    news: () => news.length,
    // whether something has got among the properties of all objects, or into the store of services
    check: () => {
      for (const key in {}) return `every object has ${key}`;
      server.rpc.get_client_info();
      return "fine";
    },
    ask: async (service, name, value) => {
      const found = await server.getService(service);
      return await found[name](value);
    },
  });
  await server.registerService({
    id: "pages",
    type: "functions",
    config: { visibility: "public" },
    index: async (event) => ({ status: 200, body: Object.keys(event.headers).join(" ") }),
  });
  process.stdout.write("serving\n");
}

process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
main();
