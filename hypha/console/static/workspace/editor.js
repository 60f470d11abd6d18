// The editor of texts: what the page makes of the library in `code-editor.js`, which is loaded when it is needed.

import { basePath } from "./api.js";

const LANGUAGES = [[/\.(html?|svg|xml)$/i, "markup"], [/\.(js|mjs|ts)$/i, "javascript"], [/\.py$/i, "python"], [/\.(json|ipynb)$/i, "json"], [/\.css$/i, "css"], [/\.ya?ml$/i, "yaml"]];
/** Longer texts are edited without colours. */
const COLOURED_CHARS = 200_000;

/** The language of a file; `text` tells where the name doesn't. */
export function languageOf(path, text, type = "") {
  const found = LANGUAGES.find(([pattern]) => pattern.test(path));
  if (found) return found[1];
  if (/^\s*</.test(text)) return "markup";
  if (/^(window|iframe|web-worker|hypha)$/.test(type)) return "javascript";
  return /^(web-python|python-|conda-)/.test(type) ? "python" : "text";
}

/** An editor: `element`; `show(label, text, language, isReadOnly, onChange)`, which calls `onChange(text)` with what is typed. */
export async function makeEditor() {
  const { createEditor, defaultCommands, editHistory, matchBrackets } = await import(`${basePath}/static/code-editor.js`);
  const element = document.createElement("div");
  element.className = "editor";
  let editor = null;
  return {
    element,
    show(label, text, language, isReadOnly, onChange) {
      if (editor) editor.remove();
      const coloured = text.length <= COLOURED_CHARS ? language : "text";
      editor = createEditor(element, { value: text, language: coloured, readOnly: isReadOnly, tabSize: language === "python" ? 4 : 2, insertSpaces: true }, defaultCommands(), editHistory(), matchBrackets());
      editor.textarea.setAttribute("aria-label", `Text of ${label}`);
      editor.textarea.id = "editor-text";
      editor.on("update", (value) => onChange(value));
    },
    focus: () => editor && editor.textarea.focus(),
    close: () => editor && editor.remove(),
  };
}
