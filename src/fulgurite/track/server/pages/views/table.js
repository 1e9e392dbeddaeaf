// The runs of a project, the newest first.

import { get, pageOf } from "../base/api.js";
import { badge } from "../base/badge.js";
import { fill, h } from "../base/dom.js";
import { ago, brief, duration, leaves, moment } from "../base/format.js";
import { every } from "../base/poll.js";

const PAGE = 200;
const VALUES = 5; // columns of the summary
const SETTINGS = 3; // columns of the configuration

export async function show(place, { path }) {
  const runs = new Map();
  const more = h("button", { hidden: true }, "Show older runs");
  const table = h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Runs" });
  const count = h("p.quiet", {});
  fill(place, count, table, more);
  let version = null;

  const take = (answer) => {
    for (const id of answer.gone) runs.delete(id);
    for (const run of answer.runs) runs.set(run.id, run);
    if (!answer.delta) more.hidden = !answer.more;
    version = answer.version;
  };
  const draw = () => {
    const list = [...runs.values()].sort((a, b) => b.created_at - a.created_at || b.id - a.id);
    const running = list.filter((run) => run.state === "running").length;
    fill(count, `${list.length}${more.hidden ? "" : "+"} ${list.length === 1 ? "run" : "runs"}${running ? `, ${running} running` : ""}`);
    fill(table, list.length ? tableOf(list) : h("p.empty", {}, "This project has no runs."));
  };
  more.addEventListener("click", async () => {
    const known = version;
    take(await get(`${path}/runs`, { first: PAGE, before: Math.min(...runs.keys()) }));
    version = known; // what changed among the ones we had is still to be asked for
    draw();
  });
  await every(3, async () => {
    take(await get(`${path}/runs`, { first: PAGE, since: version }));
    draw();
  });
}

function tableOf(runs) {
  const values = common(runs.map((run) => scalars(run.summary)), VALUES);
  const settings = differing(runs.map((run) => leaves(run.config)), SETTINGS);
  const head = ["Run", "State", "Created", "Duration", ...settings, ...values];
  const numeric = 4 + settings.length;
  return h("table.runs", {},
    h("thead", {}, h("tr", {}, head.map((name, i) => h(i >= numeric ? "th.number" : "th", { scope: "col", title: name }, name)))),
    h("tbody", {}, runs.map((run) => rowOf(run, settings, values))),
  );
}

function rowOf(run, settings, values) {
  const config = new Map(leaves(run.config));
  const summary = new Map(leaves(run.summary));
  return h("tr", {},
    h("th", { scope: "row" },
      h("a", { href: pageOf(run.entity, run.project, run.name) }, run.display_name),
      run.tags.length ? h("span.tags", {}, run.tags.map((tag) => h("span.tag", {}, tag))) : null),
    h("td", {}, badge(run.state)),
    h("td", { title: moment(run.created_at) }, ago(run.created_at)),
    h("td", {}, duration((run.ended_at ?? run.seen_at) - run.created_at)),
    settings.map((name) => cell("td", config.get(name))),
    values.map((name) => cell("td.number", summary.get(name))),
  );
}

function cell(kind, value) {
  return h(kind, { title: value === undefined ? null : brief(value) }, brief(value));
}

function scalars(summary) {
  return leaves(summary).filter(([name, value]) => !name.startsWith("_") && (typeof value === "number" || ["NaN", "Infinity", "-Infinity"].includes(value)));
}

/** The names that most of the lists have. */
function common(lists, most) {
  const counts = new Map();
  for (const [name] of lists.flat()) counts.set(name, (counts.get(name) ?? 0) + 1);
  const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
  return names.slice(0, most).sort();
}

/** The names whose short values are not the same in all lists. */
function differing(lists, most) {
  if (lists.length < 2) return [];
  const seen = new Map();
  for (const [name, value] of lists.flat()) {
    const text = brief(value);
    if (text.length <= 24) seen.set(name, (seen.get(name) ?? new Set()).add(text));
  }
  return [...seen.keys()].filter((name) => seen.get(name).size > 1).slice(0, most);
}
