// Apps that are being written: begun with a template, or read from the server; kept as long as something of them is not saved.

import { callPublic, workspace } from "./api.js";
import { MANIFEST, OF_SERVER, Project, SOURCE, without } from "./project.js";
import { TEMPLATES, templateText } from "./templates.js";

const PAGES = ["web-python", "web-worker", "window", "iframe", "hypha"];
const MOST_FILES = 500;

/** Apps with changes that were not saved, by the word in the address: they are kept while other parts are shown. */
const kept = new Map();
addEventListener("beforeunload", (event) => [...kept.values()].some((project) => project.isWritten()) && event.preventDefault());

/** The app of a word: `+name` for a new one from a template, else the id of one that is there. */
export async function openProject(controller, word) {
  const known = kept.get(word);
  if (known && known.isWritten()) return known;
  const project = word.startsWith("+") ? await fromTemplate(controller, word.slice(1)) : await fromApp(controller, word);
  kept.set(word, project);
  return project;
}

/** Words of apps with changes that were not saved. */
export const changedProjects = () => [...kept].filter(([, project]) => project.isWritten());

async function fromTemplate(controller, name) {
  const template = TEMPLATES.find((each) => each.name === name);
  if (!template) throw new Error(`There is no template ${name}.`);
  const project = new Project(controller, { id: "", name: template.title, type: template.type, way: "plugin", manifest: {} });
  project.template = await templateText(name);
  project.put(SOURCE, project.template);
  return project;
}

async function fromApp(controller, id) {
  const found = await controller.call("get_app_info", { app_id: id, stage: true });
  const { manifest, versions } = found;
  const isDraft = !versions?.length || Array.isArray(found.staging);
  const files = await filesOf(id, isDraft);
  const isPage = PAGES.includes(manifest.type);
  const source = isPage && files.some(({ path }) => path === SOURCE) ? await controller.call("read_file", { app_id: id, file_path: SOURCE, stage: isDraft }) : "";
  const isPlugin = /^\s*<(?!!doctype|html)/i.test(source);
  const way = isPlugin ? "plugin" : source ? "script" : "files";
  const project = new Project(controller, { id, name: manifest.name, type: manifest.type, way, manifest, isDraft, isNew: !versions?.length });
  if (source) project.put(SOURCE, source, source); // it says what is made of it
  for (const { path, size } of files) if (!project.documents.has(path)) project.documents.set(path, { path, size, text: null, saved: null, isMade: project.isMade(path) });
  if (!isPlugin) {
    const text = JSON.stringify(without(manifest, OF_SERVER), null, 2);
    project.put(MANIFEST, text, text);
  }
  project.current = project.documents.has(SOURCE) && source ? SOURCE : project.documents.has(manifest.entry_point) ? manifest.entry_point : [...project.documents.keys()][0] || "";
  return project;
}

async function filesOf(id, stage) {
  const found = [];
  const folders = [""];
  while (folders.length && found.length < MOST_FILES) {
    const folder = folders.shift();
    const entries = await callPublic("artifact-manager", "list_files", { artifact_id: `${workspace}/${id}`, stage, ...(folder ? { dir_path: folder } : {}) });
    for (const { type, name, size } of entries) {
      if (type === "directory") folders.push(`${folder}${name}/`);
      else found.push({ path: folder + name, size });
    }
  }
  return found.slice(0, MOST_FILES);
}

/** The word of an app in the address is another one from now on. */
export function keepAs(word, project) {
  forgetProject(project);
  kept.set(word, project);
}

export function forgetProject(project) {
  for (const [word, each] of kept) if (each === project) kept.delete(word);
}
