// Making elements, and telling screen readers what changed.

/** Make an element: tag, its properties (`data-…` and `aria-…` become attributes), its children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Say something to people who cannot see the page change. */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** A line that tells of an error in the server's own words. */
export function failure(error) {
  const line = make("p", { className: "failure", role: "alert" }, error.message || String(error));
  if (error.hint) line.append(" ", make("span", { className: "soft" }, error.hint));
  return line;
}

/** A line that stands where a list is empty. */
export function nothing(text) {
  return make("p", { className: "empty" }, text);
}

/** A button; `kind` is a class such as `primary` or `quiet`. */
export function button(text, onClick, kind = "", properties = {}) {
  const element = make("button", { type: "button", className: `button ${kind}`, ...properties }, text);
  if (onClick) element.addEventListener("click", onClick);
  return element;
}

/** A button that asks once more before it does what cannot be undone; `onClick` gives a promise. */
export function carefulButton(text, question, onClick) {
  let timer;
  const element = button(text, async () => {
    if (element.dataset.sure) {
      clearTimeout(timer);
      element.disabled = true;
      await onClick().finally(calm);
      return;
    }
    element.dataset.sure = "yes";
    element.textContent = question;
    timer = setTimeout(calm, 4000);
  }, "quiet danger small");
  const calm = () => {
    delete element.dataset.sure;
    element.textContent = text;
    element.disabled = false;
  };
  return element;
}

/** A button that copies what `read` gives. */
export function copyButton(read) {
  const element = button("Copy", async () => {
    await navigator.clipboard.writeText(read());
    element.textContent = "Copied";
    announce("Copied");
    setTimeout(() => (element.textContent = "Copy"), 1500);
  }, "small quiet copy-button");
  element.hidden = !navigator.clipboard;
  return element;
}

/** A table with a caption that only screen readers meet; rows are lists of cells. `add(rows)` of it appends more. */
export function table(caption, headings, rows) {
  const cells = (row) => row.map((cell, index) => make("td", { "data-label": headings[index] }, cell));
  const body = make("tbody");
  const add = (more) => more.forEach((row) => body.append(make("tr", {}, ...cells(row))));
  add(rows);
  const element = make(
    "div",
    { className: "table card", role: "region", "aria-label": caption, tabIndex: 0 },
    make(
      "table",
      {},
      make("caption", { className: "unseen" }, caption),
      make("thead", {}, make("tr", {}, ...headings.map((text) => make("th", { scope: "col" }, text || make("span", { className: "unseen" }, "Actions"))))),
      body,
    ),
  );
  return Object.assign(element, { add });
}

/** A button for what is behind the end of a list; `load()` says whether there is still more. */
export function moreButton(load) {
  const element = button("Show more", async () => {
    element.disabled = true;
    element.hidden = !(await load());
    element.disabled = false;
  }, "small");
  return element;
}

/** A set of tabs that obeys the arrow keys. `tabs` are [name, text]; `choose(name)` is called on change. */
export function tabBar(bar, tabs, chosen, choose, panelId) {
  const items = tabs.map(([name, text]) =>
    make("button", {
      type: "button", role: "tab", id: `${bar.id}-${name}`, "aria-selected": String(name === chosen),
      "aria-controls": panelId, tabIndex: name === chosen ? 0 : -1,
    }, text));
  items.forEach((item, index) => {
    item.addEventListener("click", () => choose(tabs[index][0]));
    item.addEventListener("keydown", (event) => {
      const step = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: items.length - 1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = (step + items.length) % items.length;
      choose(tabs[next][0]);
    });
  });
  const hadFocus = bar.contains(document.activeElement);
  bar.replaceChildren(...items);
  const current = items.find((item) => item.tabIndex === 0);
  if (hadFocus) current.focus();
  bar.scrollLeft = current.offsetLeft - bar.offsetLeft - bar.clientWidth / 3;
}

const NUMBER = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** A moment as people say it: "3 minutes ago", with the exact time as title. */
export function moment(unixS) {
  if (!unixS) return "never";
  const distance = unixS - Date.now() / 1000;
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]]
    .find(([, seconds]) => Math.abs(distance) >= seconds) || ["second", 1];
  return make("time", { title: new Date(unixS * 1000).toLocaleString() }, NUMBER.format(Math.round(distance / size), unit));
}
