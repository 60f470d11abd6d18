// Apps that run: one row each, with log, picture, services, and stopping.

import { basePath, workspace } from "./api.js";
import { announce, button, carefulButton, failure, make, moment } from "./dom.js";
import { logPanel } from "./log.js";
import { saveFrom } from "./browser.js";

const APPLICATIONS = ["asgi", "functions"];
// their workers show nothing
const UNSEEN = ["python-eval", "conda-jupyter-kernel", "python-env", "k8s-pod", "mcp-server", "a2a-agent"];
const STATES = { starting: "starting", running: "running", stopped: "ended" };

/** Rows of sessions that stay while their sessions do: an open log is not closed by news. */
export class SessionList {
  /** `controller` is asked; `go` leads elsewhere; with `ofOne` all are of the app that is shown. `onChange()` is called after a stop. */
  constructor(controller, { go, ofOne = false, onChange }) {
    Object.assign(this, { controller, go, ofOne, onChange });
    this.element = make("ul", { className: "rows card sessions", hidden: true });
    this.rows = new Map();
  }

  /** Show these sessions. */
  show(sessions) {
    const ids = new Set(sessions.map(({ id }) => id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.isGone = true;
      if ((row.log && !row.isOpenedForThem) || row.hasPicture) row.update({ ...row.session, status: "stopped" }); // who reads it is not disturbed
      else this.drop(id);
    }
    for (const session of sessions) {
      const known = this.rows.get(session.id);
      if (known) known.update(session);
      else this.add(session);
    }
    this.element.hidden = !this.rows.size;
  }

  add(session) {
    const row = new SessionRow(session, this);
    this.rows.set(session.id, row);
    this.element.prepend(row.element);
    if (!this.ofOne) return;
    const others = [...this.rows.values()].filter((each) => each !== row && each.log && !each.isGone);
    if (others.length) return;
    row.toggleLog();
    row.isOpenedForThem = true;
  }

  drop(id) {
    const row = this.rows.get(id);
    if (row.log) row.log.close();
    row.element.remove();
    this.rows.delete(id);
    this.element.hidden = !this.rows.size;
  }
}

class SessionRow {
  constructor(session, list) {
    this.list = list;
    this.log = null;
    this.isGone = this.hasPicture = this.isOpenedForThem = false;
    const name = nameOfSession(session);
    this.head = make("p", { className: "entry-title" });
    this.facts = make("p", { className: "soft small" });
    this.offers = make("p", { className: "small offers" });
    this.answer = make("div", { "aria-live": "polite" });
    this.picture = make("div", {});
    this.below = make("div", {});
    const titled = (text) => ({ "aria-label": `${text} ${name}`, title: session.id });
    this.logButton = button("Log", () => ((this.isOpenedForThem = false), this.toggleLog()), "small", { ...titled("Log of"), "aria-expanded": "false" });
    this.seeButton = button("Screenshot", () => this.takePicture(), "small", titled("Screenshot of"));
    this.stopButton = carefulButton("Stop", "Really stop?", () => this.stop());
    this.closeButton = button("Close", () => list.drop(session.id), "small quiet", titled("Close"));
    this.seeButton.hidden = UNSEEN.includes(session.app_type);
    this.element = make(
      "li", { className: "session-row" },
      make("div", { className: "session-head" }, make("div", { className: "session-what" }, this.head, this.facts, this.offers), make("span", { className: "row-actions" }, this.logButton, this.seeButton, this.stopButton, this.closeButton)),
      this.answer, this.picture, this.below,
    );
    this.update(session);
  }

  update(session) {
    this.session = session;
    const { status } = session;
    const isOn = status === "running" && !this.isGone;
    const state = this.isGone ? "ended" : STATES[status] || status;
    const title = this.list.ofOne ? make("strong", {}, session.client_id) : button(nameOfSession(session), () => this.list.go("apps", session.app_id), "link");
    this.head.replaceChildren(make("span", { className: `dot ${isOn ? "on" : ""}` }), title, make("span", { className: `tag${isOn ? " public" : ""}` }, state));
    this.facts.replaceChildren(this.list.ofOne ? "" : `${session.app_id} · `, "begun ", moment(session.created_at), session.version ? ` · ${session.version}` : "", ` · on ${String(session.worker_id).split(":").pop()}`);
    const services = (session.services || []).map(serviceLink);
    this.offers.hidden = !services.length || this.isGone;
    this.offers.replaceChildren("Offers ", ...services.flatMap((link, index) => (index ? [", ", link] : [link])));
    this.seeButton.disabled = !isOn;
    this.stopButton.hidden = this.isGone;
    this.closeButton.hidden = !this.isGone;
  }

  call(name, args = {}) {
    return this.list.controller.call(name, { session_id: this.session.id, ...args });
  }

  toggleLog() {
    if (this.log) {
      this.log.close();
      this.log = null;
      this.below.replaceChildren();
    } else {
      this.log = logPanel(`Log of ${nameOfSession(this.session)}`, () => this.call("get_logs"), () => this.isGone || this.session.status === "stopped");
      this.below.replaceChildren(this.log.element);
    }
    this.logButton.setAttribute("aria-expanded", String(Boolean(this.log)));
  }

  async takePicture() {
    this.seeButton.disabled = true;
    this.answer.replaceChildren();
    try {
      const bytes = await this.call("take_screenshot");
      this.showPicture(URL.createObjectURL(new Blob([bytes], { type: "image/png" })));
    } catch (error) {
      this.answer.replaceChildren(failure(error));
    }
    this.seeButton.disabled = this.session.status !== "running" || this.isGone;
  }

  showPicture(url) {
    const name = `${this.session.app_id}.png`;
    const close = () => {
      URL.revokeObjectURL(url);
      this.hasPicture = false;
      this.picture.replaceChildren();
    };
    this.hasPicture = true;
    this.picture.replaceChildren(make(
      "figure", { className: "screenshot" },
      make("img", { src: url, alt: `What ${nameOfSession(this.session)} shows` }),
      make("figcaption", { className: "soft small" }, `Taken at ${new Date().toLocaleTimeString()}`, make("span", { className: "row-actions" }, button("Save", () => saveFrom(url, name), "small quiet"), button("Close", close, "small quiet", { "aria-label": "Close the picture" }))),
    ));
    announce("The picture is there");
  }

  async stop() {
    this.answer.replaceChildren();
    try {
      await this.call("stop", { raise_exception: false });
      announce(`${nameOfSession(this.session)} is stopped`);
    } catch (error) {
      this.answer.replaceChildren(failure(error));
    }
    await this.list.onChange();
  }
}

/** What a session is called: other people named it. */
export const nameOfSession = (session) => (typeof session.name === "string" && session.name) || session.app_id;

function serviceLink(service) {
  const id = String(service.id).split("/").pop();
  const text = id.split(":").pop();
  if (APPLICATIONS.includes(String(service.type).toLowerCase())) {
    return make("a", { href: `${basePath}/${encodeURIComponent(workspace)}/apps/${encodeURIComponent(id).replace("%3A", ":")}/`, target: "_blank", rel: "noopener" }, text);
  }
  return make("a", { href: `#services/${encodeURIComponent(id)}` }, text);
}
