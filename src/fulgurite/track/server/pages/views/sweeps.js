// The sweeps of a project, or one of them.

import { get, pageOf } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { ago, moment, number } from "../base/format.js";
import { every } from "../base/poll.js";
import { loadStyles } from "../base/styles.js";

const STATES = { PENDING: "waits for agents", RUNNING: "running", PAUSED: "paused", FINISHED: "finished", CANCELED: "canceled" };

export async function show(place, where) {
  await loadStyles("plots");
  if (where.rest.length) return (await import("./sweeps/sweep.js")).show(place, { ...where, name: where.rest[0] });
  const { entity, project, path } = where;
  const list = h("div", {});
  fill(place, list);
  let shown = null;
  await every(5, async () => {
    const { sweeps } = await get(`${path}/sweeps`);
    const news = JSON.stringify(sweeps);
    if (news === shown) return;
    shown = news;
    fill(list, sweeps.length ? tableOf(entity, project, sweeps) : nothing());
  });
}

/** The state of a sweep as a coloured word. */
export function sweepState(state) {
  return h("span.sweep-state", { data: { state } }, STATES[state] ?? state.toLowerCase());
}

function tableOf(entity, project, sweeps) {
  const head = ["Sweep", "State", "Method", "Runs", "Metric", "Best", "Made"];
  const row = (each) => h("tr", {},
    h("th", { scope: "row" }, h("a", { href: `${pageOf(entity, project)}/sweeps/${encodeURIComponent(each.name)}` }, each.title), each.title === each.name ? null : h("span.quiet", {}, ` ${each.name}`), each.fault ? h("p.quiet", {}, each.fault) : null),
    h("td", {}, sweepState(each.state)),
    h("td", {}, each.method ?? "–"),
    h("td.number", {}, each.expected === null ? String(each.runs) : `${each.runs} of ${each.expected}`),
    h("td", {}, each.metric ? `${each.metric}, ${each.goal}` : "–"),
    h("td.number", {}, each.best === null ? "–" : each.best_run ? h("a", { href: pageOf(entity, project, each.best_run) }, number(each.best)) : number(each.best)),
    h("td", { title: moment(each.created_at) }, ago(each.created_at)),
  );
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Sweeps" }, h("table", {},
    h("thead", {}, h("tr", {}, head.map((title, i) => h(i === 3 || i === 5 ? "th.number" : "th", { scope: "col" }, title)))),
    h("tbody", {}, sweeps.map(row))));
}

function nothing() {
  return h("section.empty", {}, h("h2", {}, "There is no sweep yet"), h("p", {}, "A search over hyperparameters is made from a YAML file, and worked on by agents:"), h("pre", {}, "wandb sweep --project PROJECT sweep.yaml\nwandb agent ENTITY/PROJECT/SWEEP"));
}
