// The page of the terminal worker: sign in, see the terminals of a workspace, use one.

const base = location.href.replace(/\/[^/]+\/apps\/[^/]+\/.*$/s, "/");
const part = (id) => document.getElementById(id);
const note = (text) => { part("note").textContent = text; };

let server = null;
let worker = null;
let shown = null; // the terminal that is on the screen
let sending = Promise.resolve();

/** What an error says to a person: its last line without the name of its class. */
function said(error) {
  const lines = String((error && error.message) || error).trim().split("\n");
  return lines.at(-1).replace(/^(\w+\.)*\w*(Error|Exception|Denied): /, "");
}

/** Do something that may fail; the note says how. */
async function trying(what, text) {
  note(text || "");
  try {
    await what();
    if (text) note("");
  } catch (error) {
    note(said(error));
  }
}

function show(name) {
  for (const each of ["sign-in", "list", "view"]) part(each).hidden = each !== name;
  part("leave").hidden = name !== "view";
  part("sign-out").hidden = name === "sign-in";
}

async function signIn() {
  const client = await import(new URL("assets/hypha-rpc-websocket.mjs", base).href);
  const workspace = part("workspace").value.trim() || undefined;
  let token = part("token").value.trim();
  if (!token) {
    const opened = window.open("about:blank", "_blank"); // while the click counts
    token = await client.login({
      server_url: base,
      login_callback: async ({ login_url }) => {
        if (opened) opened.location = login_url;
        else note(`Sign in at ${login_url}`);
      },
    });
  }
  server = await client.connectToServer({ server_url: base, workspace, token });
  const { worker: id } = await (await fetch("config.json")).json();
  worker = await server.getService(id);
  part("token").value = "";
  await list();
}

async function list() {
  const found = await worker.list_sessions();
  const items = found.map((each) => {
    const button = document.createElement("button");
    button.type = "button";
    const about = document.createElement("small");
    about.textContent = `${each.status}, since ${each.created_at.slice(0, 16).replace("T", " ")} UTC · ${each.session_id}`;
    button.append(each.app_id, about);
    button.onclick = () => trying(() => open(each.session_id), "Opening …");
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  part("sessions").replaceChildren(...items);
  show("list");
  if (!found.length) note(`No terminal runs in ${server.config.workspace}: start an app of the type terminal.`);
}

/** Show what the screen has: its text, and where the cursor stands. */
function draw({ content, cursor }) {
  const screen = part("screen");
  if (!cursor || cursor.is_hidden) {
    screen.replaceChildren(content);
    return;
  }
  const lines = content.split("\n");
  while (lines.length <= cursor.row) lines.push("");
  const line = lines[cursor.row].padEnd(cursor.column + 1);
  const mark = document.createElement("span");
  mark.id = "cursor";
  mark.textContent = line[cursor.column];
  const before = [...lines.slice(0, cursor.row), line.slice(0, cursor.column)].join("\n");
  const after = [line.slice(cursor.column + 1), ...lines.slice(cursor.row + 1)].join("\n");
  screen.replaceChildren(before, mark, after);
}

async function open(id) {
  const opened = { id };
  shown = opened;
  draw({ content: "" });
  show("view");
  await fit();
  part("keys").focus();
  worker.attach(id, (update) => { if (shown === opened) draw(update); }).then(
    () => { if (shown === opened) note("The program has ended."); },
    (error) => { if (shown === opened) note(said(error)); },
  );
}

/** Make the terminal as large as there is room for. */
async function fit() {
  if (!shown) return;
  const frame = part("frame"), measure = part("measure").getBoundingClientRect();
  const cols = Math.floor((frame.clientWidth - 16) / (measure.width / 10));
  const rows = Math.floor((frame.clientHeight - 16) / measure.height);
  const size = [Math.min(120, Math.max(5, rows)), Math.min(400, Math.max(20, cols))];
  if (String(size) === String(shown.size)) return;
  shown.size = size;
  await worker.resize_terminal(shown.id, ...size);
}

/** Type; what was typed first is sent first. */
function type(text) {
  const { id } = shown;
  sending = sending.then(() => worker.write_terminal(id, text)).catch((error) => note(said(error)));
}

const KEYS = {
  Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Delete: "\x1b[3~", Insert: "\x1b[2~",
  ArrowUp: "\x1b[A", ArrowDown: "\x1b[B", ArrowRight: "\x1b[C", ArrowLeft: "\x1b[D",
  Home: "\x1b[H", End: "\x1b[F", PageUp: "\x1b[5~", PageDown: "\x1b[6~",
};

part("keys").addEventListener("keydown", (event) => {
  if (!shown || event.isComposing || event.metaKey) return;
  let text = KEYS[event.key];
  if (event.ctrlKey && /^[a-z[\\\]^_@ ]$/i.test(event.key)) {
    if (event.key.toLowerCase() === "v" || (event.shiftKey && event.key === "C")) return; // the browser pastes, copies
    text = String.fromCharCode(event.key === " " ? 0 : event.key.toUpperCase().charCodeAt(0) & 31);
  } else if (event.altKey && event.key.length === 1) {
    text = `\x1b${event.key}`;
  }
  if (event.key === "Tab" && event.shiftKey) return; // the way out for who has no mouse
  if (text === undefined) return;
  event.preventDefault();
  type(text);
});

part("keys").addEventListener("input", (event) => {
  if (event.isComposing || !shown) return;
  const text = event.target.value.replaceAll("\n", "\r");
  event.target.value = "";
  if (text) type(text);
});
part("keys").addEventListener("compositionend", (event) => {
  if (shown && event.target.value) type(event.target.value);
  event.target.value = "";
});

let resizing = 0;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(() => { if (shown) trying(fit); }, 150);
});

part("sign-in").onsubmit = (event) => {
  event.preventDefault();
  trying(signIn, "Signing in …");
};
part("refresh").onclick = () => trying(list);
part("leave").onclick = () => { shown = null; trying(list); };
part("sign-out").onclick = async () => {
  shown = null;
  show("sign-in");
  await server.disconnect();
};
