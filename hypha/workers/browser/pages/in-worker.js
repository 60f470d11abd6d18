// The other half of a page whose script runs in a worker.

async function load(requirement) {
  const answer = await fetch(requirement.replace(/^js:/, ""));
  if (!answer.ok) throw new Error(`The requirement ${requirement} could not be loaded.`);
  (0, eval)(await answer.text());
}

onmessage = async ({ data: { text, address } }) => {
  try {
    const given = readApp(text, address);
    const api = await connect(given, () => postMessage({ state: "running" }));
    for (const requirement of given.app.requirements || []) await load(requirement);
    await run(given.app.script, api, environment(given.connection));
    await Promise.all(offers);
    postMessage({ state: "running" });
  } catch (error) {
    postMessage({ state: "failed", text: told(error) });
  }
};
