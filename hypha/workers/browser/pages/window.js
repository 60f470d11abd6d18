// A page whose script runs in the page itself.

async function load(requirement) {
  const [kind, rest] = /^(js|css):/.test(requirement) ? requirement.split(/:(.*)/s) : [null, requirement];
  const isStyle = kind === "css" || (!kind && rest.endsWith(".css"));
  const element = document.createElement(isStyle ? "link" : "script");
  Object.assign(element, isStyle ? { rel: "stylesheet", href: rest } : { src: rest, async: false });
  await new Promise((done, failed) => {
    element.onload = done;
    element.onerror = () => failed(new Error(`The requirement ${rest} could not be loaded.`));
    document.head.append(element);
  });
}

const report = globalThis.hyphaReport || (() => {});
try {
  const given = readApp(document.getElementById("hypha-app").textContent, location.href);
  const api = await connect(given, () => report("running", ""));
  for (const requirement of given.app.requirements || []) await load(requirement);
  await run(given.app.script, api, environment(given.connection));
  await Promise.all(offers);
  report("running", "");
} catch (error) {
  console.error(told(error));
  report("failed", told(error));
}
