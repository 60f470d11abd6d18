// Descriptions that people wrote with a little Markdown, shown without ever reading HTML.
//
// Others wrote them, so all of it takes time in proportion to the length: no pattern is tried from many places
// over the same text, and what is very long is cut.

import { make } from "./dom.js";

const LINE_CHARS = 10_000;
const DOCUMENT_CHARS = 100_000;
const MOST_MARKS = 2000; // in one paragraph; the rest is plain text
const MARK = /`|\*\*|\[/g;
const ENDS = { "`": /`/g, "*": /\*/g, "]": /\]/g, url: /[\s)]/g };
const ADDRESS = /https?:\/\/(?=[^\s)])/y;
const HEADING = /^#{1,6}\s+(.*)$/;
const BULLET = /^\s*[-*+]\s+/;
const NUMBERED = /^\s*\d+[.)]\s+/;

/** Text with `code`, **bold** and [links](…). */
export const inline = (text) => marked(cut(text, LINE_CHARS));

/** Paragraphs, headings, lists and blocks of code. */
export function prose(text, className = "docs", mostChars = DOCUMENT_CHARS) {
  const box = make("div", { className });
  const pieces = cut(text, mostChars).replace(/\r\n?/g, "\n").split(/^```.*$/m);
  pieces.forEach((piece, index) => {
    if (index % 2) box.append(make("pre", { className: "schema", tabIndex: 0 }, make("code", {}, piece.replace(/^\n|\n$/g, ""))));
    else for (const block of piece.split(/\n\s*\n/)) if (block.trim()) addBlock(box, block);
  });
  return box;
}

const cut = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);

function addBlock(box, block) {
  let lines = block.replace(/^\n+/, "").trimEnd().split("\n");
  const titles = lines.findIndex((line) => !HEADING.test(line));
  for (const line of titles < 0 ? lines : lines.slice(0, titles)) {
    box.append(make("p", { className: "prose-title" }, ...marked(HEADING.exec(line)[1])));
  }
  lines = titles < 0 ? [] : lines.slice(titles);
  if (!lines.length) return;
  for (const [mark, tag] of [[BULLET, "ul"], [NUMBERED, "ol"]]) {
    if (!lines.every((line) => mark.test(line))) continue;
    const list = make(tag);
    for (const line of lines) list.append(make("li", {}, ...marked(line.replace(mark, ""))));
    box.append(list);
    return;
  }
  box.append(make("p", {}, ...marked(lines.join("\n"))));
}

function marked(text) {
  const parts = [];
  const next = nextEnds(text);
  let last = 0;
  MARK.lastIndex = 0;
  for (let found = MARK.exec(text); found && parts.length < 2 * MOST_MARKS; found = MARK.exec(text)) {
    const [element, end] = elementAt(text, found.index, found[0], next) || [];
    MARK.lastIndex = element ? end : found.index + 1;
    if (!element) continue;
    parts.push(text.slice(last, found.index), element);
    last = end;
  }
  return [...parts, text.slice(last)];
}

/** What begins at a mark, and where it ends. */
function elementAt(text, at, mark, next) {
  const start = at + mark.length;
  const end = next({ "`": "`", "**": "*", "[": "]" }[mark], start);
  if (end <= start) return null;
  const words = text.slice(start, end);
  if (mark === "`") return [make("code", {}, words), end + 1];
  if (mark === "**") return text.startsWith("**", end) ? [make("strong", {}, words), end + 2] : null;
  ADDRESS.lastIndex = end + 2;
  if (text[end + 1] !== "(" || !ADDRESS.test(text)) return null;
  const close = next("url", end + 2);
  if (text[close] !== ")") return null;
  return [make("a", { href: text.slice(end + 2, close), rel: "noopener noreferrer", target: "_blank" }, words), close + 1];
}

/** A function for the next place of an end; places are asked for from left to right, and each is looked for once. */
function nextEnds(text) {
  const known = {};
  return (name, from) => {
    if (known[name] === undefined || (known[name] >= 0 && known[name] < from)) {
      ENDS[name].lastIndex = from;
      const found = ENDS[name].exec(text);
      known[name] = found ? found.index : -1;
    }
    return known[name];
  };
}
