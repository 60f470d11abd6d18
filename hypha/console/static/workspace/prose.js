// Descriptions that people wrote with a little Markdown, shown without ever reading HTML.

import { make } from "./dom.js";

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\((https?:\/\/[^\s)]+)\)/g;
const BULLET = /^\s*[-*+]\s+/;
const NUMBERED = /^\s*\d+[.)]\s+/;

/** Text with `code`, **bold** and [links](…). */
export function inline(text) {
  const parts = [];
  let last = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, code, bold, words, url] = match;
    parts.push(text.slice(last, match.index));
    if (code) parts.push(make("code", {}, code));
    else if (bold) parts.push(make("strong", {}, bold));
    else parts.push(make("a", { href: url, rel: "noopener noreferrer", target: "_blank" }, words));
    last = match.index + whole.length;
  }
  return [...parts, text.slice(last)];
}

/** Paragraphs, headings, lists and blocks of code. */
export function prose(text, className = "docs") {
  const box = make("div", { className });
  const pieces = text.replace(/\r\n?/g, "\n").split(/^```.*$/m);
  pieces.forEach((piece, index) => {
    if (index % 2) box.append(make("pre", { className: "schema", tabIndex: 0 }, make("code", {}, piece.replace(/^\n|\n$/g, ""))));
    else for (const block of piece.split(/\n\s*\n/)) if (block.trim()) box.append(...blocksOf(block));
  });
  return box;
}

function blocksOf(block) {
  const lines = block.replace(/^\n+|\s+$/g, "").split("\n");
  const heading = /^#{1,6}\s+(.*)$/.exec(lines[0]);
  if (heading) {
    const rest = lines.slice(1).join("\n");
    return [make("p", { className: "prose-title" }, ...inline(heading[1])), ...(rest.trim() ? blocksOf(rest) : [])];
  }
  for (const [mark, tag] of [[BULLET, "ul"], [NUMBERED, "ol"]]) {
    if (lines.every((line) => mark.test(line))) {
      return [make(tag, {}, ...lines.map((line) => make("li", {}, ...inline(line.replace(mark, "")))))];
    }
  }
  return [make("p", {}, ...inline(lines.join("\n")))];
}
