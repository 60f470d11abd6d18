// A page whose script runs in a worker, apart from the page.

const report = globalThis.hyphaReport || (() => {});
const inWorker = URL.createObjectURL(new Blob([WORKER_SCRIPT], { type: "text/javascript" }));
const worker = new Worker(inWorker, { type: "module" });
worker.onmessage = ({ data }) => {
  if ("output" in data) {
    console[data.stream](data.output);
    document.body.append(Object.assign(document.createElement("pre"), { textContent: data.output }));
    return;
  }
  if (data.state === "failed") console.error(data.text);
  report(data.state, data.text || "");
};
worker.onerror = (event) => {
  console.error(event.message);
  report("failed", event.message);
};
worker.postMessage({ text: document.getElementById("hypha-app").textContent, address: location.href });
