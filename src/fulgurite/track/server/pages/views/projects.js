// All projects of the store.

import { get, pageOf } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { ago, moment } from "../base/format.js";
import { every } from "../base/poll.js";

const KEY = "local-" + "0".repeat(40);

export async function showProjects(place) {
  await every(5, async () => {
    const { projects } = await get("/projects");
    fill(place, h("h1", {}, "Projects"), projects.length ? h("div.projects", {}, projects.map(card)) : nothing());
  });
}

function card(project) {
  const { entity, name, description, runs, seen_at: seen } = project;
  return h("a.card", { href: pageOf(entity, name) },
    h("strong", {}, name),
    entity === "local" ? null : h("span.quiet", {}, entity),
    description ? h("p", {}, description) : null,
    h("span.quiet", { title: seen ? moment(seen) : null }, `${runs} ${runs === 1 ? "run" : "runs"}${seen ? ", active " + ago(seen) : ""}`),
  );
}

function nothing() {
  const lines = `export WANDB_BASE_URL=${location.origin}\nexport WANDB_API_KEY=${KEY}`;
  return h("section.empty", {},
    h("h2", {}, "There is no run yet"),
    h("p", {}, "A run of Fulgurite's Trainer is seen here as soon as it starts. The wandb client logs here with these two lines:"),
    h("pre", {}, lines),
  );
}
