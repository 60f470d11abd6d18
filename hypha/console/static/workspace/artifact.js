// One artifact: what it is, its files and versions, who may see it, and changing it.

import { basePath, callPublic, send, workspace } from "./api.js";
import { saveFrom, showPlace } from "./browser.js";
import { versionsSection } from "./differences.js";
import { announce, button, failure, make, moment } from "./dom.js";
import { grantsSection, tagsOf, tokenFor } from "./grants.js";
import { inline } from "./prose.js";
import { HERE } from "./sending.js";
import { deleteDialog, stagingBar } from "./staging.js";
import { Transfers } from "./transfers.js";
import { dropZone, pickers, uploadPanel } from "./uploading.js";
import { countText, inAddress, nameOf, splitPath } from "./words.js";

const all = new Map();
let redraw = () => {};
let reload = () => {};

const call = (name, args) => callPublic("artifact-manager", name, args);

/** `chosen` is the alias, `open` a place in it; `?version` behind the alias names a version. */
export async function showArtifact(area, { chosen, open = "", go, level }) {
  const [alias, version = ""] = chosen.split("?");
  const id = `${workspace}/${alias}`;
  const mayEdit = level >= 2;
  let artifact;
  try {
    artifact = await read(id, mayEdit && !version, version);
  } catch (error) {
    area.replaceChildren(back(go), failure(error));
    return;
  }
  const place = (path) => go("artifacts", version ? `${alias}?${version}` : alias, path);
  const draw = () => showArtifact(area, { chosen, open, go, level });
  const isStaged = artifact.staging !== null && !version;
  const source = sourceOf(artifact, version, isStaged, mayEdit);
  const head = headOf(artifact, version, go, mayEdit, draw);
  const files = make("div", {});
  const answer = make("div", { "aria-live": "polite" });
  const drawFiles = async (error) => {
    answer.replaceChildren(...(error ? [failure(error)] : []));
    await showPlace(files, source, open, place, drawFiles);
  };
  const box = make("div", {});
  const filesPart = uploadsOf(box, artifact, open, mayEdit && !version, draw);
  area.replaceChildren(box);
  box.append(
    back(go), head,
    isStaged && mayEdit ? stagingBar(artifact, draw, go) : "",
    make("section", { className: "part" }, make("div", { className: "area-head" }, make("h3", {}, version ? `Files of ${version}` : "Files"), filesPart.pickers), filesPart.panel, answer, files),
    make("section", { className: "part" }, make("h3", {}, "Versions"), versionsSection(artifact, source, (name) => go("artifacts", `${alias}?${name}`))),
    make("section", { className: "part" }, make("h3", {}, "Who may see it"), grantsSection(artifact, mayEdit && !version && !isStaged, (config) => call("edit", { artifact_id: id, config }).then(draw))),
    make("section", { className: "part" }, make("h3", {}, "Manifest"), make("pre", { className: "result", tabIndex: 0 }, make("code", {}, JSON.stringify(artifact.manifest, null, 2)))),
  );
  await drawFiles();
}

async function read(id, staged, version) {
  if (staged) {
    const found = await call("read", { artifact_id: id, stage: true, silent: true }).catch(() => null);
    if (found) return found;
  }
  return call("read", { artifact_id: id, silent: true, ...(version ? { version } : {}) });
}

const back = (go) => make("p", {}, button("← All artifacts", () => go("artifacts"), "link"));

function sourceOf(artifact, version, isStaged, mayEdit) {
  const base = `/${encodeURIComponent(workspace)}/artifacts/${encodeURIComponent(artifact.alias)}`;
  const words = (other) => (other ? `version=${encodeURIComponent(other)}` : isStaged ? "stage=true" : version ? `version=${encodeURIComponent(version)}` : "");
  const file = (path, other) => `${base}/files/${inAddress(path)}?silent=true&${words(other)}`;
  const address = (path) => call("get_file", { artifact_id: artifact.id, file_path: path, silent: true, ...HERE, ...(isStaged ? { stage: true } : version ? { version } : {}) });
  const inside = (path, inner) => `${base}/zip-files/${inAddress(path)}?path=${encodeURIComponent(inner)}&${words()}`;
  return {
    title: artifact.alias,
    empty: isStaged ? "No file is staged or kept here yet. Drop files or folders on this page." : "It has no files.",
    keepsFolders: true,
    list: (folder, offset, limit) => call("list_files", { artifact_id: artifact.id, dir_path: folder.replace(/\/$/, "") || null, limit, offset, ...(isStaged ? { stage: true, include_pending: true } : version ? { version } : {}) }),
    fetch: (path, options) => send(file(path), options),
    etag: async (path, other) => (await send(file(path, other), { method: "HEAD" })).headers.get("etag"),
    address,
    download: async (path) => saveFrom(await address(path), splitPath(path)[1]),
    remove: isStaged && mayEdit ? (path) => call("remove_file", { artifact_id: artifact.id, file_path: path }) : null,
    zip: {
      list: async (path, inner) => (await send(inside(path, inner))).json(),
      fetch: (path, inner, options) => send(inside(path, inner), options),
    },
  };
}

function uploadsOf(box, artifact, open, mayPut, draw) {
  if (!mayPut) return { pickers: "", panel: "" };
  const { id } = artifact;
  const target = {
    id: `artifacts/${id}`,
    put: async (path) => ({ address: await call("put_file", { artifact_id: id, file_path: path, ...HERE }) }),
    begin: (path, count, life) => call("put_file_start_multipart", { artifact_id: id, file_path: path, part_count: count, expires_in: life, ...HERE }),
    resume: (path, upload, count, life) => call("put_file_resume_multipart", { artifact_id: id, file_path: path, upload_id: upload, part_count: count, expires_in: life, ...HERE }),
    abandon: (path) => call("remove_file", { artifact_id: id, file_path: path, pending_only: true }), // or the commit would wait for it
    complete: (path, upload, parts) => call("put_file_complete_multipart", { artifact_id: id, upload_id: upload, parts }),
  };
  if (!all.has(id)) all.set(id, new Transfers(target, () => redraw(), () => reload()));
  const transfers = all.get(id);
  const panel = uploadPanel(() => transfers);
  redraw = panel.update;
  reload = () => box.isConnected && draw();
  const [folder] = splitPath(open);
  const take = async (files) => {
    if (artifact.staging === null) {
      await call("edit", { artifact_id: id, stage: true }).catch((error) => announce(error.message));
    }
    transfers.add(files.map(([path, file]) => [folder + path, file]));
    draw();
  };
  dropZone(box, take);
  return { pickers: pickers(take), panel: panel.element };
}

function headOf(artifact, version, go, mayEdit, draw) {
  const manifest = artifact.manifest || {};
  const answer = make("div", { "aria-live": "polite" });
  const told = (work) => work.catch((error) => answer.replaceChildren(failure(error)));
  const page = `${basePath}/${encodeURIComponent(workspace)}/view/${encodeURIComponent(artifact.alias)}/`;
  const open = async () => {
    const words = [await tokenFor(artifact), version ? `version=${encodeURIComponent(version)}` : ""].filter(Boolean).join("&");
    window.open(`${page}${words ? `?${words}` : ""}`, "_blank", "noopener");
  };
  const zip = async () => {
    const words = [await tokenFor(artifact), version ? `version=${encodeURIComponent(version)}` : ""].filter(Boolean).join("&");
    saveFrom(`${basePath}/${encodeURIComponent(workspace)}/artifacts/${encodeURIComponent(artifact.alias)}/create-zip-file${words ? `?${words}` : ""}`, `${artifact.alias}.zip`);
  };
  const isThere = artifact.versions.length > 0;
  const actions = [
    isThere ? button("Open its page", () => told(open()), "small") : null,
    isThere ? button("Download as zip", () => told(zip()), "small") : null,
    mayEdit && !version && artifact.staging === null ? button("New version", () => told(call("edit", { artifact_id: artifact.id, version: "new", stage: true }).then(draw)), "small") : null,
    mayEdit && !version ? button("Delete", () => deleteDialog(artifact, go), "small quiet danger") : null,
  ];
  const said = typeof manifest.description === "string" ? manifest.description : "";
  const facts = [artifact.type, countText(artifact.file_count, "file"), countText(artifact.view_count, "view"), countText(artifact.download_count, "download")];
  return make(
    "header", { className: "artifact-head" },
    make("h2", {}, nameOf(artifact)),
    make("p", { className: "tags" }, make("code", {}, artifact.id), ...tagsOf(artifact), version ? make("span", { className: "tag" }, `version ${version}`) : ""),
    said ? make("p", { className: "said" }, ...inline(said)) : null,
    make("p", { className: "soft small" }, `${facts.join(" · ")} · changed `, moment(artifact.last_modified), ` · made by ${artifact.created_by}`),
    make("div", { className: "artifact-actions" }, ...actions.filter(Boolean), version ? button("Back to the latest", () => go("artifacts", artifact.alias), "small") : ""),
    answer,
  );
}
