// Uploads that were not finished, kept in this browser: which parts are there, and nothing that opens a door.

const PREFIX = "hypha.uploads.";
let isOver = false; // somebody has signed out: nothing is kept any more until the page is loaded anew

/**
 * Those to one target, by path: {id, count, partBytes, size, modified, ends, done: {part: ETag}}. What is kept is read
 * once, and again when another tab has changed it.
 */
export class Unfinished {
  constructor(target) {
    this.key = PREFIX + target;
    this.known = null;
    addEventListener("storage", ({ key }) => {
      if (key === this.key || key === null) this.known = null;
    });
  }

  all() {
    if (!this.known) {
      let found = [];
      try {
        found = Object.entries(JSON.parse(localStorage.getItem(this.key)) || {});
      } catch {
        // nothing that could be gone on with
      }
      this.known = new Map(found.filter(([, kept]) => kept && kept.count > 0 && kept.done && !kept.parts));
      if (this.known.size < found.length) this.write(); // what another build of this page kept may open doors
    }
    return this.known;
  }

  get(path) {
    return this.all().get(path);
  }

  set(path, { id, count, partBytes, size, modified, ends, done }) {
    this.all().set(path, { id, count, partBytes, size, modified, ends, done });
    this.write();
  }

  remove(path) {
    if (this.all().delete(path)) this.write();
  }

  write() {
    try {
      if (isOver) return;
      if (this.known.size) localStorage.setItem(this.key, JSON.stringify(Object.fromEntries(this.known)));
      else localStorage.removeItem(this.key);
    } catch {
      // a full or forbidden store: the upload goes on, and begins anew after a reload
    }
  }
}

/** Forget all of them: whoever sits here next shall not see what was uploaded. */
export function forgetUnfinished() {
  isOver = true;
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(PREFIX)) localStorage.removeItem(key);
  } catch {
    // nothing is kept where it may not be
  }
}
