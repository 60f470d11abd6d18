// The same call, written for programs.

import { servicePath, shownUrl, workspace } from "./api.js";

const TOKEN = "HYPHA_TOKEN";

/** [name, text, code] for each language; a token is read from the environment. */
export function snippetsFor(service, path, args, isStream, needsToken) {
  return [
    ["python", "Python", python(service, path, args, isStream, needsToken)],
    ["javascript", "JavaScript", javascript(service, path, args, isStream, needsToken)],
    ["curl", "curl", curl(service, path, args, isStream, needsToken)],
  ];
}

const isName = (text) => /^[A-Za-z_]\w*$/.test(text);

/** Attribute access in both languages: `.group.f`, `["a-b"]`, `[0]`. */
function accessOf(path) {
  return path.split(".").map((word) => (isName(word) ? `.${word}` : /^\d+$/.test(word) ? `[${word}]` : `[${JSON.stringify(word)}]`)).join("");
}

/** A value as a Python literal. */
export function pythonLiteral(value) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${pythonLiteral(item)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

function python(service, path, args, isStream, needsToken) {
  const names = Object.keys(args);
  const given = names.every(isName)
    ? names.map((name) => `${name}=${pythonLiteral(args[name])}`).join(", ")
    : `**${pythonLiteral(args)}`;
  const call = `await service${accessOf(path)}(${given})`;
  const options = [`"server_url": "${shownUrl}"`];
  if (needsToken) options.push(`"token": os.environ["${TOKEN}"]`);
  return [
    "import asyncio",
    ...(needsToken ? ["import os"] : []),
    "from hypha_rpc import connect_to_server",
    "",
    "async def main():",
    `    async with connect_to_server({${options.join(", ")}}) as server:`,
    `        service = await server.get_service(${JSON.stringify(`${workspace}/${service.id}`)})`,
    ...(isStream ? [`        async for item in ${call}:`, "            print(item)"] : [`        print(${call})`]),
    "",
    "asyncio.run(main())",
  ].join("\n");
}

function javascript(service, path, args, isStream, needsToken) {
  const given = Object.keys(args).length ? JSON.stringify({ ...args, _rkwargs: true }) : "";
  const call = `await service${accessOf(path)}(${given})`;
  const options = [`server_url: "${shownUrl}"`];
  if (needsToken) options.push(`token: process.env.${TOKEN}`);
  return [
    'import { hyphaWebsocketClient } from "hypha-rpc";',
    "",
    `const server = await hyphaWebsocketClient.connectToServer({ ${options.join(", ")} });`,
    `const service = await server.getService(${JSON.stringify(`${workspace}/${service.id}`)});`,
    ...(isStream ? [`for await (const item of ${call}) console.log(item);`] : [`console.log(${call});`]),
    "await server.disconnect();",
  ].join("\n");
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(service, path, args, isStream, needsToken) {
  const lines = [`curl ${isStream ? "-N " : ""}${quoted(shownUrl + servicePath(service.id, path))}`];
  if (needsToken) lines.push(`-H "Authorization: Bearer $${TOKEN}"`);
  if (Object.keys(args).length) lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(args))}`);
  return lines.join(" \\\n  ");
}
