// The landing page: tabs, the live connection, the function that this page offers.
"use strict";

const PING_EVERY_MS = 2000;
const RETRY_AFTER_MS = 5000;
const CALLS_SHOWN = 6;
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const shownUrl = correctUrls();

function showTab(chosen) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const isChosen = tab === chosen;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !isChosen;
  }
}

function setUpTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const moves = { ArrowRight: 1, ArrowLeft: -1 };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => showTab(tab));
    tab.addEventListener("keydown", (event) => {
      let next = index;
      if (event.key in moves) next = (index + moves[event.key] + tabs.length) % tabs.length;
      else if (event.key === "Home") next = 0;
      else if (event.key === "End") next = tabs.length - 1;
      else return;
      event.preventDefault();
      showTab(tabs[next]);
      tabs[next].focus();
    });
  });
}

function showState(isOn, text) {
  $("live").classList.toggle("is-off", !isOn);
  $("dot").className = isOn ? "dot on" : "dot off";
  $("status").textContent = text;
}

function showUptime(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = units.findIndex(([size]) => seconds >= size);
  if (at < 0) return void ($("uptime").textContent = "0 s");
  const [size, unit] = units[at];
  let text = `${Math.floor(seconds / size)} ${unit}`;
  if (at < 2) text += ` ${Math.floor((seconds % size) / units[at + 1][0])} ${units[at + 1][1]}`;
  $("uptime").textContent = text;
}

/** Let a spark run from this page to the hub and back. */
function spark() {
  if (calm) return;
  const [path, dot, started] = [$("mine"), $("spark"), performance.now()];
  const length = path.getTotalLength();
  function step(now) {
    const part = (now - started) / 700;
    if (part >= 1) return void (dot.style.opacity = 0);
    const point = path.getPointAtLength(length * (1 - Math.abs(1 - 2 * part)));
    dot.style.opacity = 1;
    dot.setAttribute("cx", point.x);
    dot.setAttribute("cy", point.y);
    requestAnimationFrame(step);
  }
  requestAnimationFrame(step);
}

async function measure(server) {
  const trips = [];
  for (;;) {
    if (!document.hidden) {
      const started = performance.now();
      try {
        await server.echo("ping");
        trips.push(performance.now() - started);
        if (trips.length > 5) trips.shift();
        const median = [...trips].sort((a, b) => a - b)[trips.length >> 1];
        $("trip").textContent = `${median < 10 ? median.toFixed(1) : Math.round(median)} ms`;
        showState(true, `Connected as ${server.config.user.id}`);
        spark();
      } catch (error) {
        showState(false, "The connection is lost; trying again");
      }
    }
    await new Promise((resolve) => setTimeout(resolve, PING_EVERY_MS));
  }
}

function showCall(name) {
  const list = $("calls");
  if (list.querySelector(".soft")) list.replaceChildren();
  const time = new Date().toLocaleTimeString();
  list.prepend(make("li", {}, `${time}  `, make("strong", { textContent: name }), " called this page."));
  while (list.children.length > CALLS_SHOWN) list.lastChild.remove();
  spark();
}

async function offerFunction(server) {
  await server.registerService({
    id: "page",
    name: "A page in somebody's browser",
    config: { visibility: "unlisted" },
    hello: (name) => {
      showCall(String(name ?? "Somebody").slice(0, 80));
      return `Hello, ${name ?? "stranger"}! This answer was made in your browser.`;
    },
  });
  const { workspace, client_id: client } = server.config;
  $("try-line").textContent = `curl "${shownUrl}/${workspace}/services/${client}:page/hello?name=you"`;
}

async function showServices() {
  const list = $("list");
  try {
    const services = (await getJson("/public/services/")).filter((service) => service.type !== "built-in");
    $("count").textContent = String(services.length);
    const rows = services.map((service) => {
      const name = service.id.split(":").pop();
      const names = functionsOf(service.service_schema).map(([path]) => path);
      const row = make("li", {}, make("strong", { textContent: service.name || name }));
      row.append(make("span", { className: "tag", textContent: name }));
      if (service.description) row.append(make("p", { className: "small soft" }, ...proseOf(service.description)));
      if (names.length) row.append(make("p", { className: "small", textContent: names.join(", ") }));
      return row;
    });
    const none = make("li", { className: "soft", textContent: "No public service is registered yet." });
    list.replaceChildren(...(rows.length ? rows : [none]));
  } catch (error) {
    list.replaceChildren(make("li", { className: "soft", textContent: error.message }));
  }
}

/** Lead whoever is signed in to their own workspace. */
function showAccount(user) {
  const own = user.scope.current_workspace || `ws-user-${user.id}`;
  $("account").textContent = "Your workspace";
  $("account").href = `${basePath}/${encodeURIComponent(own)}/`;
}

async function showFacts() {
  const started = Date.now();
  const { uptime_seconds: before, user } = await getJson("/assets/config.json");
  if (user) showAccount(user);
  const show = () => showUptime(before + (Date.now() - started) / 1000);
  show();
  setInterval(show, 1000);
}

async function connect() {
  try {
    const server = await hyphaWebsocketClient.connectToServer({ server_url: reachedUrl, name: "landing page" });
    showState(true, `Connected as ${server.config.user.id}`);
    offerFunction(server).catch((error) => ($("try-line").textContent = `# ${error.message}`));
    await measure(server);
  } catch (error) {
    showState(false, `Not connected: ${error.message || error}`);
    $("try-line").textContent = "# the page is not connected";
    setTimeout(connect, RETRY_AFTER_MS);
  }
}

setUpTabs();
addCopyButtons();
showFacts().catch(() => {});
showServices();
connect();
