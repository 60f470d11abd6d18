// Installing an app: from a template, from files or a folder, or from an address.

import { button, failure, make, tabBar } from "./dom.js";
import { gathered, idFrom, sendable } from "./gathering.js";
import { operate, operationOf, operationView, watch, forget } from "./operations.js";
import { TEMPLATES, templateText } from "./templates.js";
import { dropZone, pickers } from "./uploading.js";
import { countText, sizeText } from "./words.js";

const WAYS = [["template", "Template"], ["files", "Files or folder"], ["address", "Address"]];
const KEY = "+install";
const ID = /^[A-Za-z0-9_-]{1,128}$/;
const MOST_NAMED = 6;
/** Files that were dropped on another part, until they are shown here. */
let dropped = null;

/** Install what was dropped on the list of apps. */
export function installDropped(files, go) {
  dropped = files;
  go("apps", "+install", "files");
}

/** `open` is the way. */
export async function showInstall(area, controller, { open = "", go }) {
  const way = WAYS.some(([name]) => name === open) ? open : "template";
  const bar = make("div", { className: "tabs", role: "tablist", "aria-label": "From where", id: "install-ways" });
  const panel = make("div", { role: "tabpanel", id: "install-way", "aria-labelledby": `install-ways-${way}`, className: "install-way" });
  const progress = make("div", { className: "progress", "aria-live": "polite" });
  const types = controller.call("list_workers").then((workers) => new Set(workers.filter(({ disabled }) => !disabled).flatMap((worker) => worker.supported_types)), () => null);
  area.replaceChildren(
    make("p", { className: "back" }, button("‹ All apps", () => go("apps"), "link")),
    make("h2", {}, "Install an app"),
    make("p", { className: "soft" }, "It is started once, to see that it works, and stopped again. What does not start is not installed."),
    progress,
    make("div", { className: "card install" }, bar, panel),
  );
  dropZone(area, (files) => installDropped(files, go));
  tabBar(bar, WAYS, way, (name) => go("apps", "+install", name), panel.id);
  const draw = () => {
    const operation = operationOf(KEY);
    progress.replaceChildren(operation ? operationView(operation, button("Close", () => (forget(KEY), draw()), "small quiet")) : "");
    panel.querySelectorAll("button.install-now").forEach((each) => (each.disabled = operation?.state === "running"));
  };
  const unwatch = watch((key) => (area.isConnected ? key === KEY && draw() : unwatch()));
  /** Install; then its page is shown, if nobody has gone elsewhere. */
  const install = async (name, args) => {
    try {
      const work = operate(KEY, `Installing ${name}`, async (onStep) => controller.call("install", await args(), onStep));
      progress.scrollIntoView({ block: "nearest" });
      const made = await work;
      forget(KEY);
      if (area.isConnected) go("apps", made.id);
    } catch {
      draw(); // the operation tells why
    }
  };
  await SHOWN[way](panel, { install, go, types });
  draw();
}

const SHOWN = { template: showTemplates, files: showFiles, address: showAddress };

async function showTemplates(panel, { install, go, types }) {
  const usable = await types;
  const missing = (type) => usable && !usable.has(type);
  const sorted = [...TEMPLATES].sort((a, b) => Number(missing(a.type)) - Number(missing(b.type)));
  panel.replaceChildren(make("ul", { className: "template-list" }, ...sorted.map((template) => make(
    "li", {},
    make("p", { className: "entry-title" }, make("strong", {}, template.title), make("span", { className: "tag" }, template.type)),
    make("p", { className: "summary-text" }, template.about),
    missing(template.type)
      ? make("p", { className: "soft small" }, "No worker here runs apps of this type.")
      : make("div", { className: "actions" }, button("Install", () => install(template.title, async () => ({ source: await templateText(template.name) })), "small install-now", { "aria-label": `Install ${template.title}` }), button("Edit first", () => go("development", `+${template.name}`), "small quiet", { "aria-label": `Edit ${template.title} first` })),
  ))));
}

async function showFiles(panel, { install, types }) {
  const answer = make("div", { "aria-live": "polite" });
  const found = make("div", {});
  const take = async (chosen) => {
    if (!chosen.length) return;
    answer.replaceChildren();
    try {
      found.replaceChildren(filesForm(await gathered(chosen), install, await types));
    } catch (error) {
      found.replaceChildren();
      answer.replaceChildren(failure(error));
    }
  };
  panel.replaceChildren(
    make("div", { className: "drop-place" }, make("p", {}, "A plugin file (.hypha.html), a page, a script, or a folder with all that belongs to an app."), pickers(take, "Choose files", "Choose a folder"), make("p", { className: "drop-hint" }, "Or drop it anywhere here.")),
    answer, found,
  );
  const waiting = dropped;
  dropped = null;
  if (waiting) await take(waiting);
}

function filesForm(found, install, types) {
  const { files, plugin, manifest } = found;
  const named = files.slice(0, MOST_NAMED).map(([path]) => path).join(", ");
  const about = make("p", { className: "soft" }, `${countText(files.length, "file")}, ${sizeText(found.size)}: ${named}${files.length > MOST_NAMED ? ", …" : ""}`);
  const fields = appFields(manifest, { types, entries: plugin ? null : found.entries, isPlugin: Boolean(plugin) });
  return installForm([about, ...(plugin ? [make("p", {}, make("code", {}, plugin), " says itself what it is.")] : [])], fields, () => {
    const said = fields.read();
    install(said.name || plugin, async () => {
      const others = await sendable(files.filter(([path]) => path !== plugin && path !== "manifest.json"));
      const source = plugin ? { source: await files.find(([path]) => path === plugin)[1].text() } : { manifest: { ...manifest, ...said.manifest } };
      return { ...source, files: others, ...said.args };
    });
  });
}

async function showAddress(panel, { install, types }) {
  const usable = await types;
  const address = make("input", { id: "app-address", type: "url", autocomplete: "off", spellcheck: false, required: true, placeholder: "Address of a plugin file or of a page" });
  const fields = appFields({ name: "", type: "web-app" }, { types: usable, entries: null, isPlugin: true });
  const hint = "https only. A plugin file (.hypha.html, .imjoy.html) is fetched by the server; any other address is opened as a page, in a browser of the server.";
  panel.replaceChildren(installForm([make("div", { className: "field" }, make("label", { for: "app-address" }, "Address"), address, make("p", { className: "field-hint" }, hint))], fields, () => {
    const said = fields.read();
    const isPlugin = /\.(imjoy|hypha)\.html$/i.test(address.value.trim().split(/[?#]/)[0]);
    const name = address.value.trim().replace(/^https?:\/\//, "");
    const page = { manifest: { name, type: "web-app", version: "0.1.0" }, wait_for_service: false };
    install(name, async () => ({ source: address.value.trim(), ...(isPlugin ? {} : page), ...said.args }));
  }));
}

/** Fields that say what an app is; of a plugin, which says that itself, only what is not in it. */
function appFields({ name, type, entry_point: entry }, { types, entries, isPlugin }) {
  const input = (id, value, more = {}) => make("input", { id, type: "text", autocomplete: "off", spellcheck: false, value: typeof value === "string" ? value : "", ...more });
  const field = (label, element, hint = "") => make("div", { className: "field" }, make("label", { for: element.id }, label), element, make("p", { className: "field-hint" }, hint));
  const title = input("app-name", name, { maxLength: 200 });
  const id = input("app-id", isPlugin ? "" : idFrom(name), { maxLength: 128, placeholder: "found by the server if left empty" });
  const kind = make("select", { id: "app-type" }, ...[...new Set([type, ...(types || [])])].filter(Boolean).map((word) => make("option", { value: word, selected: word === type }, word)));
  const start = make("select", { id: "app-entry" }, ...(entries || []).map((path) => make("option", { value: path, selected: path === entry }, path)));
  const waits = make("select", { id: "app-waits" }, ...[["", isPlugin ? "as it says itself" : "when it offers the service default"], ["no", "at once: it is a script or a page without services"]].map(([value, text]) => make("option", { value }, text)));
  const over = input("app-over", "", { type: "checkbox" });
  if (!isPlugin && (type === "python-eval" || /\.html?$/i.test(entry || ""))) waits.value = "no";
  title.addEventListener("input", () => (id.value = idFrom(title.value)));
  return {
    element: make(
      "div", { className: "fields" },
      ...(isPlugin ? [] : [field("Name", title), field("Type", kind, types && type && !types.has(type) ? `No worker here runs apps of the type ${type}.` : "")]),
      ...(entries && entries.length ? [field("Begins with", start)] : []),
      field("App id", id, "Its name in addresses: letters, digits, _ and -"),
      field("Has started", waits),
      make("label", { className: "check" }, over, " Take the place of the app with this id"),
    ),
    read: () => {
      if (id.value && !ID.test(id.value)) throw new Error("An app id has letters, digits, '_' and '-'.");
      return {
        name: title.value,
        manifest: { name: title.value || "Untitled App", type: kind.value, ...(entries && start.value ? { entry_point: start.value } : {}) },
        args: { ...(id.value ? { app_id: id.value } : {}), ...(waits.value ? { wait_for_service: false } : {}), overwrite: over.checked },
      };
    },
  };
}

function installForm(parts, fields, onSubmit) {
  const answer = make("div", { "aria-live": "polite" });
  const form = make("form", { className: "install-form" }, ...parts, fields.element, make("div", { className: "actions" }, make("button", { type: "submit", className: "button primary install-now" }, "Install")), answer);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    answer.replaceChildren();
    try {
      onSubmit();
    } catch (error) {
      answer.replaceChildren(failure(error));
    }
  });
  return form;
}
