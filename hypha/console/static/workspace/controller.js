// The app controller of the server: asked over the live connection, which acts in this workspace and hears of each step of a start.

import { callPublic, getJson, workspace } from "./api.js";

const NAME = "server-apps";
const ELSEWHERE = "Apps are shown over a live connection, and there is none";

export class Controller {
  /** `live` is the live connection of the page. */
  constructor(live) {
    this.live = live;
  }

  /** True if this server runs apps. */
  async isThere() {
    try {
      await getJson(`/public/services/${NAME}`);
      return true;
    } catch (error) {
      if (error.status === 404) return false;
      throw error;
    }
  }

  /** Call a function with named arguments; `onStep({type, message})` hears how far it is, where there is a live connection. */
  async call(name, args = {}, onStep = null) {
    await this.live.settled();
    if (this.live.isOn()) return this.live.call(`public/${NAME}`, name, args, onStep);
    // by HTTP one acts in a workspace of one's own, which may be another one
    const here = await actsIn();
    if (here !== workspace) throw new Error(`${ELSEWHERE}: ${this.live.text()}.`);
    return callPublic(NAME, name, args);
  }
}

let acting = null;

function actsIn() {
  acting = acting || callPublic("ws", "get_workspace_info", {}).then(({ id }) => id);
  acting.catch(() => (acting = null));
  return acting;
}
