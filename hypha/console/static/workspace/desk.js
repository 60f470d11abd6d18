// The desk at which one app is written: edit, save, install, run, and read its log.

import { announce, button, carefulButton, failure, make, nothing } from "./dom.js";
import { languageOf, makeEditor } from "./editor.js";
import { fileTree, newFileForm, titleOfFile } from "./filetree.js";
import { idFrom } from "./gathering.js";
import { startApp } from "./installed.js";
import { lookOut } from "./looking.js";
import { forget, operate, operationOf, operationView, watch } from "./operations.js";
import { MANIFEST } from "./project.js";
import { forgetProject, keepAs, openProject } from "./projects.js";
import { SessionList } from "./sessions.js";

const ID = /^[A-Za-z0-9_-]{1,128}$/;

export const back = (go) => make("p", { className: "back" }, button("‹ Development", () => go("development"), "link"));

/** Where one app is written. */
export class Desk {
  constructor(area, controller, { go }) {
    Object.assign(this, { area, controller, go });
    this.answer = make("div", { "aria-live": "polite" });
    this.progress = make("div", { className: "progress", "aria-live": "polite" });
    this.tree = make("div", {});
    this.head = make("p", { className: "editor-title" });
    this.state = make("p", { className: "soft small", role: "status" });
    this.fileAnswer = make("div", { "aria-live": "polite" });
  }

  async show(project) {
    this.project = project;
    this.editor = await makeEditor();
    this.sessions = new SessionList(this.controller, { go: this.go, ofOne: true, onChange: () => this.news.look() });
    this.title = make("h2", {}, project.name);
    this.save = button("Save", () => this.work("Saving", (onStep) => this.project.save(onStep)), "small", { title: "Ctrl + S" });
    this.install = button("Install", () => this.work("Installing", (onStep) => this.project.install(onStep)), "small primary");
    this.run = button("Run", () => this.start(), "small");
    this.discard = carefulButton("Discard changes", "Really discard?", async () => {
      const { id } = this.project;
      forgetProject(this.project);
      announce("The changes are discarded");
      this.go("development", id);
    });
    this.page = make("a", {}, "Its page");
    this.id = make("input", { id: "app-id", type: "text", autocomplete: "off", spellcheck: false, maxLength: 128, value: project.id || idFrom(project.name), "aria-label": "App id" });
    this.area.replaceChildren(
      back(this.go),
      make("div", { className: "area-head" }, this.title, make("span", { className: "desk-actions" }, this.save, this.install, this.run)),
      make("div", { className: "desk-id" }, make("label", { for: "app-id" }, "App id"), this.id, this.page),
      make("div", { className: "desk-state" }, this.state, this.discard), this.answer,
      make("div", { className: "desk" }, make("nav", { className: "desk-files", "aria-label": "Files of the app" }, this.tree, newFileForm((path) => this.addFile(path))), make("div", { className: "desk-text card" }, this.head, this.fileAnswer, this.editor.element)),
      make("p", { className: "soft small" }, "Ctrl + S saves. Tab indents; after Ctrl + M it leads out of the text again."),
      this.progress,
      make("section", { className: "part" }, make("h3", {}, "Sessions"), this.sessions.element, this.none = nothing("It does not run now.")),
    );
    this.area.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey) || event.altKey) return;
      event.preventDefault();
      if (!this.save.disabled) this.save.click();
    });
    const unwatch = watch((key) => (this.area.isConnected ? key === this.key() && this.drawProgress() : unwatch()));
    this.news = lookOut(this.area, () => this.look(), this.answer);
    this.draw();
    await this.openFile(project.current);
    await this.news.look();
    return this.news;
  }

  /** Under what its steps are noted: a new app has no id of its own until the server has it. */
  key() {
    return this.project.operation || this.project.id;
  }

  async look() {
    const { project } = this;
    const running = project.id ? (await this.controller.call("list_running")).filter((session) => session.app_id === project.id) : [];
    this.running = running;
    this.sessions.show(running);
    this.none.hidden = this.sessions.rows.size > 0;
    this.run.textContent = running.length ? "Restart" : "Run";
  }

  draw() {
    const { project } = this;
    const isBusy = operationOf(this.key())?.state === "running";
    const isChanged = project.isChanged();
    this.title.textContent = project.name;
    this.tree.replaceChildren(fileTree(project, (path) => this.openFile(path)));
    this.save.disabled = isBusy || !isChanged;
    this.discard.hidden = isBusy || !project.isWritten();
    this.install.disabled = isBusy || (!isChanged && !project.isDraft);
    this.run.disabled = isBusy;
    this.id.disabled = isBusy || Boolean(project.id);
    this.page.hidden = !project.id;
    this.page.href = `#apps/${encodeURIComponent(project.id)}`;
    this.state.textContent = isChanged && !project.isWritten() ? "Nothing of it is saved yet." : isChanged ? "There are changes that are not saved." : project.isDraft ? "Saved as a draft: others get it when it is installed." : "Installed.";
  }

  drawProgress() {
    const operation = operationOf(this.key());
    this.progress.replaceChildren(operation ? operationView(operation, button("Close", () => (forget(this.key()), this.progress.replaceChildren()), "small quiet")) : "");
    this.draw();
    this.news.soon();
  }

  typed(path, text) {
    const entry = this.project.documents.get(path);
    if (!entry || entry.isMade || entry.text === text) return;
    const before = [entry.text !== entry.saved, this.project.isWritten()].join();
    entry.text = text;
    if (before !== [text !== entry.saved, this.project.isWritten()].join()) this.draw();
  }

  async openFile(path) {
    const { project } = this;
    project.current = path;
    this.fileAnswer.replaceChildren();
    this.head.replaceChildren(make("strong", {}, path ? titleOfFile(path, project.way) : "No file"));
    this.draw();
    this.editor.element.hidden = true;
    if (!path) return;
    try {
      const text = await project.text(path);
      if (project.current !== path) return;
      const { isMade } = project.documents.get(path);
      if (isMade) this.head.append(make("span", { className: "soft small" }, " made of the source when the app is installed"));
      else if (path !== MANIFEST && !(path === "source" && project.way !== "files")) this.head.append(this.removal(path));
      if (text.includes("\0")) throw new Error("It is no text.");
      this.editor.element.hidden = false;
      this.editor.show(titleOfFile(path, project.way), text, path === MANIFEST ? "json" : languageOf(path, text, project.type), isMade, (typed) => this.typed(path, typed));
    } catch (error) {
      this.fileAnswer.replaceChildren(failure(error));
    }
  }

  removal(path) {
    return carefulButton("Remove", "Really remove?", async () => {
      this.project.remove(path);
      announce(`${path} is removed`);
      await this.openFile(this.project.current);
    });
  }

  async addFile(path) {
    this.project.add(path);
    await this.openFile(path);
    this.editor.focus();
  }

  /** Do something with the app, step by step, under the id that was typed; says whether that went well. */
  async work(title, what) {
    const { project } = this;
    this.answer.replaceChildren();
    const isFirst = !project.id;
    const typed = this.id.value.trim();
    if (isFirst && typed && !ID.test(typed)) {
      this.answer.replaceChildren(failure(new Error("An app id has letters, digits, '_' and '-'.")));
      return false;
    }
    project.operation = isFirst ? `+${project.name}` : project.id;
    if (isFirst) project.wanted = typed;
    let isDone = true;
    this.progress.scrollIntoView({ block: "nearest" });
    try {
      await operate(project.operation, `${title} ${project.name}`, what);
    } catch {
      isDone = false; // the operation tells why
    }
    if (project.id) keepAs(project.id, project);
    if (!this.area.isConnected) return isDone;
    if (project.id) {
      this.id.value = project.id;
      history.replaceState(null, "", `#development/${encodeURIComponent(project.id)}`);
    }
    if (isDone && !project.isChanged()) await this.reload();
    this.drawProgress();
    return isDone;
  }

  /** What an install made of the source is among the files then. */
  async reload() {
    const { operation, current } = this.project;
    const fresh = await openProject(this.controller, this.project.id).catch(() => this.project);
    if (this.project.isChanged()) return keepAs(this.project.id, this.project); // somebody typed on meanwhile
    this.project = Object.assign(fresh, { operation });
    if (fresh.documents.has(current) && current !== fresh.current) await this.openFile(current);
    else if (!fresh.documents.has(current)) await this.openFile(fresh.current);
    else await fresh.text(current);
  }

  /** Start what is saved of it; what is not saved yet is, first. */
  async start() {
    if (!this.project.id || this.project.isChanged()) if (!(await this.work("Saving", (onStep) => this.project.save(onStep)))) return;
    const { project } = this;
    project.operation = project.id;
    await startApp(this.controller, { id: project.id, name: project.name }, this.running, project.isDraft).catch(() => {}); // the operation tells why
    if (this.area.isConnected) this.news.soon();
  }
}
