// Who is connected.

import { manager, workspace } from "./api.js";
import { announce, button, failure, make, nothing, table } from "./dom.js";

export async function show(area) {
  const rows = make("div", {});
  const load = async () => {
    try {
      const clients = await manager("list_clients", { workspace });
      rows.replaceChildren(clients.length ? clientTable(clients) : nothing("Nobody is connected."));
    } catch (error) {
      rows.replaceChildren(failure(error));
    }
  };
  area.replaceChildren(
    make("div", { className: "area-head" }, make("h2", {}, "Clients"), button("Look again", load, "quiet")),
    make("p", { className: "soft" }, "Programs and pages that are connected to this workspace now."),
    rows,
  );
  await load();
  return { onEvent: (type) => type.startsWith("client_") && load() };
}

function clientTable(clients) {
  return table("Connected clients", ["Client", "User", ""], clients.map(({ id, user }) => {
    const name = id.split("/").pop();
    const answer = make("span", { className: "small soft", role: "status" });
    const ping = button("Ping", async () => {
      const started = performance.now();
      answer.textContent = "…";
      const text = await manager("ping", { client_id: id }).catch((error) => error.message);
      answer.textContent = text === "pong" ? `answers in ${Math.round(performance.now() - started)} ms` : text;
      announce(`${name} ${answer.textContent}`);
    }, "small quiet", { "aria-label": `Ping ${name}` });
    const who = (user && (user.email || user.id)) || "";
    return [make("code", {}, name), who, make("span", { className: "row-actions" }, answer, ping)];
  }));
}
