// What the console takes of prism-code-editor: `make editor` makes one file of it.
export { createEditor } from "prism-code-editor";
export { defaultCommands, editHistory } from "prism-code-editor/commands";
export { matchBrackets } from "prism-code-editor/match-brackets";
import "prism-code-editor/prism/languages/css";
import "prism-code-editor/prism/languages/javascript";
import "prism-code-editor/prism/languages/json";
import "prism-code-editor/prism/languages/markup";
import "prism-code-editor/prism/languages/python";
import "prism-code-editor/prism/languages/yaml";
import "prism-code-editor/languages/html";
import "prism-code-editor/languages/python";
import "prism-code-editor/languages/clike";
