// The other half of a page whose script is Python: Pyodide, in a worker.

/** Where Pyodide is, and which projects have wheels there; null: those of Pyodide and of PyPI. */
async function findPython(server) {
  const here = new URL("assets/pyodide/", server.replace(/\/*$/, "/")).href;
  const answer = await fetch(`${here}index.json`);
  if (!answer.ok) throw new Error(`The server has no Python for pages: ${here} answers ${answer.status}.`);
  const { url, wheels } = await answer.json();
  return { base: url ? url.replace(/\/*$/, "/") : here, index: url ? null : `${here}simple`, wheels };
}

/** A stream of the program, line by line: to the page, which shows it and logs it. */
function lines(stream) {
  return (text) => postMessage({ output: text, stream });
}

/** Files of the app that the script needs, in its folder. */
async function fetchFiles(python, app, connection, address) {
  const headers = connection.token ? { authorization: `Bearer ${connection.token}` } : {};
  for (const path of app.required_artifact_files || []) {
    const answer = await fetch(new URL(path.split("/").map(encodeURIComponent).join("/"), address), { headers });
    if (!answer.ok) throw new Error(`The file ${path} of the app cannot be read: ${answer.status}.`);
    const folder = `/home/pyodide/${path}`.replace(/\/[^/]*$/, "");
    python.FS.mkdirTree(folder);
    python.FS.writeFile(`/home/pyodide/${path}`, new Uint8Array(await answer.arrayBuffer()));
  }
}

/** Load Pyodide, and from the folder of the server what installs wheels. */
async function loadPython({ base, index }) {
  const { loadPyodide } = await import(`${base}pyodide.mjs`);
  const python = await loadPyodide({ indexURL: base, stdout: lines("log"), stderr: lines("warn") });
  let installer = "micropip";
  if (index) {
    const answer = await fetch(`${index}/micropip/`);
    const links = answer.ok ? [...(await answer.text()).matchAll(/href="([^"]+)"/g)] : [];
    if (!links.length) throw new Error("The server's folder of Pyodide has no wheel of micropip: its operator adds it.");
    installer = new URL(links.at(-1)[1], `${index}/micropip/`).href;
  }
  await python.loadPackage(installer, { messageCallback: () => {} });
  return python;
}

onmessage = async ({ data: { text, address } }) => {
  try {
    const { app, connection } = readApp(text, address);
    const place = await findPython(connection.server_url);
    const python = await loadPython(place);
    await fetchFiles(python, app, connection, address);
    python.registerJsModule("hypha_page", {
      app: JSON.stringify(app),
      variables: JSON.stringify(Object.fromEntries(environment(connection))),
      index: place.index || "",
      wheels: JSON.stringify(place.wheels),
      settled: () => postMessage({ state: "running" }),
    });
    await python.runPythonAsync(`${PYTHON_SCRIPT}\nawait run()`, { filename: "page.py" });
    postMessage({ state: "running" });
  } catch (error) {
    postMessage({ state: "failed", text: error && error.name === "PythonError" ? error.message : told(error) });
  }
};
