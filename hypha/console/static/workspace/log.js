// The log of a session, as it grows. Programs wrote it: it is shown as text alone.

import { failure, make } from "./dom.js";

const ASK_MS = 1000;
const SLOWLY_MS = 5000;
const LARGE_CHARS = 200_000;
const MOST_CHARS = 200_000;
const MOST_ITEMS = 2000;
const AT_END_PX = 40;
const GONE = /^Server app instance not found/;
// colours and cursor movements of terminals
const ESCAPES = /\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g;

/** A panel that follows a log while it is on the page; `read()` gives all of it, `isOver()` says whether nothing more comes. */
export function logPanel(label, read, isOver) {
  const lines = make("div", { className: "log-lines", tabIndex: 0, role: "region", "aria-label": label });
  const note = make("p", { className: "soft small log-note" }, "Reading the log…");
  const kinds = make("select", { "aria-label": "Which lines", hidden: true });
  const element = make("div", { className: "log" }, make("div", { className: "log-head" }, note, kinds), lines);
  const known = new Set();
  let shown = [], last = [], timer = 0;
  const draw = () => {
    const isAtEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < AT_END_PX;
    const wanted = kinds.value ? last.filter(({ type }) => type === kinds.value) : last;
    shown = update(lines, shown, wanted.slice(-MOST_ITEMS));
    if (isAtEnd) lines.scrollTop = lines.scrollHeight;
  };
  const offer = (type) => {
    if (known.has(type)) return;
    known.add(type);
    if (known.size === 1) kinds.append(make("option", { value: "" }, "all lines"));
    kinds.append(make("option", { value: type }, type));
    kinds.hidden = known.size < 2;
  };
  const ask = async () => {
    let wait = ASK_MS;
    if (!document.hidden) {
      const wasOver = isOver();
      try {
        const page = await read();
        last = page.items.filter(({ content }) => content).map(({ type, content }) => ({ type: String(type), content: plain(String(content)) }));
        last.forEach(({ type }) => offer(type));
        draw();
        note.replaceChildren(noteOf(last.length, wasOver));
        if (sizeOf(last) > LARGE_CHARS) wait = SLOWLY_MS;
      } catch (error) {
        wait = SLOWLY_MS;
        if (!isOver() && !GONE.test(error.message)) note.replaceChildren(failure(error));
        else {
          note.replaceChildren(last.length ? noteOf(last.length, true) : "It has ended, and its log is gone.");
          return;
        }
      }
      if (wasOver) return;
    }
    if (element.isConnected) timer = setTimeout(ask, wait);
  };
  kinds.addEventListener("change", () => {
    shown = [];
    lines.replaceChildren();
    draw();
  });
  ask();
  return { element, close: () => clearTimeout(timer) };
}

const plain = (text) => text.replace(ESCAPES, "").replace(/\r\n/g, "\n");
const sizeOf = (items) => items.reduce((sum, { content }) => sum + content.length, 0);

function noteOf(count, isOver) {
  if (isOver) return count ? "It has ended." : "It has ended, and wrote nothing.";
  return count ? "Live" : "Live: it has written nothing yet.";
}

/** Show entries, with what is shown already left alone: who reads or marks text in it is not disturbed. */
function update(lines, shown, items) {
  let same = 0;
  while (same < shown.length && same < items.length && isGrown(shown[same], items[same])) same += 1;
  shown.slice(same).forEach(({ element }) => element.remove());
  const kept = shown.slice(0, same);
  kept.forEach((entry, index) => {
    const { content } = items[index];
    if (content.length > entry.content.length) entry.element.textContent = tail(content);
    entry.content = content;
  });
  const added = items.slice(same).map(({ type, content }) => {
    const element = make("pre", { className: `log-item is-${/err/i.test(type) || /^\[error\]/.test(content) ? "error" : "text"}`, title: type }, tail(content));
    lines.append(element);
    return { type, content, element };
  });
  return [...kept, ...added];
}

const isGrown = (entry, item) => entry.type === item.type && item.content.startsWith(entry.content);
const tail = (text) => (text.length > MOST_CHARS ? `… (only the end is shown)\n${text.slice(-MOST_CHARS)}` : text);
