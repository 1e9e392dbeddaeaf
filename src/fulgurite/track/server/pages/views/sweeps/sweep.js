// One sweep: how far it has come, what its runs tried and reached, and how to work on it.

import { get, pageOf, send } from "../../base/api.js";
import { badge } from "../../base/badge.js";
import { copyButton } from "../../base/copy.js";
import { fill, h } from "../../base/dom.js";
import { ago, brief, duration, number } from "../../base/format.js";
import { every } from "../../base/poll.js";
import { addressState } from "../../base/state.js";
import { attempt } from "../../base/toast.js";
import { drawParallel, spansPowers } from "../../charts/parallel.js";
import { scaleLegend } from "../../charts/scale.js";
import { drawScatter } from "../../charts/scatter.js";
import { sweepState } from "../sweeps.js";

const KEY = "local-" + "0".repeat(40);
// What can be done in which state: [title, the state that it leads to].
const ACTS = {
  PENDING: [["Pause", "PAUSED"], ["Stop", "FINISHED"]],
  RUNNING: [["Pause", "PAUSED"], ["Stop", "FINISHED"], ["Cancel", "CANCELED"]],
  PAUSED: [["Resume", "RUNNING"], ["Stop", "FINISHED"], ["Cancel", "CANCELED"]],
  FINISHED: [["Resume", "RUNNING"]],
  CANCELED: [["Resume", "RUNNING"]],
};
const MEANINGS = { PAUSED: "No new runs for now", FINISHED: "No new runs any more; those that go on may end", CANCELED: "No new runs, and those that go on are stopped", RUNNING: "New runs again" };
const ORDERS = { value: "by the metric", created: "in the order in which they began" };

export async function show(place, { entity, project, path, name, mayWrite }) {
  const own = `${path}/sweeps/${encodeURIComponent(name)}`;
  const state = addressState({ order: "value" }, `project ${entity}/${project}`);
  const [head, progress, coordinates, trials, config] = ["div", "section.card", "section.card", "section.card", "section.card"].map((kind) => h(kind, {}));
  const plots = { progress: h("div", {}), coordinates: h("div", {}), legend: h("div", {}) };
  let sweep = null;
  let shown = null;

  const act = (to) => attempt(async () => {
    sweep = await send("PATCH", own, { state: to });
    draw();
  });
  const draw = () => {
    document.title = `${sweep.title} · ${project} · Fulgurite`;
    fill(head, headOf(sweep, { entity, project, mayWrite, act }));
    fill(trials, trialsOf(sweep, { entity, project, state }));
    fill(config, h("details", {}, h("summary", {}, "Configuration"), h("pre", {}, sweep.config), sweep.warnings.map((each) => h("p.note", {}, each))));
    drawPlots().catch((error) => fill(plots.progress, h("p.fault", {}, error.message)));
  };
  const open = (run) => (location.href = pageOf(entity, project, run));
  const drawPlots = async () => {
    const tried = sweep.trials.filter((each) => each.value !== null);
    progress.hidden = tried.length === 0;
    coordinates.hidden = tried.length < 2 || sweep.parameters.length === 0;
    if (!progress.hidden) await drawProgress(plots.progress, sweep, open);
    if (!coordinates.hidden) await drawCoordinates(plots.coordinates, plots.legend, sweep, tried, open);
  };
  fill(progress, h("h2", {}, "Progress"), plots.progress);
  fill(coordinates, h("h2", {}, "Parameters"), plots.legend, h("div.wide-plot", { tabindex: 0, role: "region", "aria-label": "Parallel coordinates of the parameters; the table below tells the same" }, plots.coordinates));
  fill(place, head, h("div.sweep", {}, progress, coordinates, trials, config));
  state.on(() => sweep && fill(trials, trialsOf(sweep, { entity, project, state })));
  await every(5, async () => {
    const answer = await get(own);
    const news = JSON.stringify(answer);
    if (news === shown) return;
    shown = news;
    sweep = answer;
    draw();
  });
}

function headOf(sweep, { entity, project, mayWrite, act }) {
  const facts = [
    ["Runs", sweep.expected === null ? sweep.runs : `${sweep.runs} of ${sweep.expected}`],
    ["States", Object.entries(sweep.counts).map(([state, count]) => `${count} ${state}`).join(", ") || "–"],
    ["Method", sweep.method ?? "–"],
    ["Metric", sweep.metric ? `${sweep.metric}, ${sweep.goal}` : "–"],
    ["Best", sweep.best === null ? "–" : h("a", { href: pageOf(entity, project, sweep.best_run) }, number(sweep.best))],
    ["Agents", `${sweep.agents.filter((each) => !each.gone).length} of ${sweep.agents.length} at work`],
  ];
  const command = `wandb agent ${entity === "local" ? "" : `${entity}/`}${project}/${sweep.name}`;
  const whole = `export WANDB_BASE_URL=${location.origin}\nexport WANDB_API_KEY=${KEY}\n${command}`;
  const button = ([title, to]) => h("button", { type: "button", title: MEANINGS[to], click: () => act(to) }, title);
  return [
    h("nav.crumbs", { "aria-label": "Where the sweep is" }, h("a", { href: `${pageOf(entity, project)}/sweeps` }, "All sweeps")),
    h("div.tools", {}, h("h2", {}, sweep.title, " ", sweepState(sweep.state)), mayWrite ? h("span.buttons", { role: "group", "aria-label": "State of the sweep" }, (ACTS[sweep.state] ?? []).map(button)) : null),
    sweep.description ? h("p.notes", {}, sweep.description) : null,
    sweep.fault ? h("p.note", {}, sweep.fault) : null,
    h("dl.facts", {}, facts.map(([title, value]) => h("div", {}, h("dt", {}, title), h("dd", {}, value)))),
    h("details", { open: sweep.runs === 0 }, h("summary", {}, "Work on it"), h("p.quiet", {}, "An agent asks for parameters and runs the program with them. As many as you like, on any machine that reaches this server; with a key of yours where one is demanded:"),
      h("div.command", {}, h("pre", {}, whole), copyButton("the command", () => whole))),
  ];
}

async function drawProgress(place, sweep, open) {
  const isBetter = (one, other) => (sweep.goal === "maximize" ? one > other : one < other);
  const points = sweep.trials.map((each, i) => ({ x: i + 1, y: each.value, title: each.display_name, id: each.run })).filter((each) => each.y !== null);
  const steps = [];
  for (const { x, y } of points) {
    const best = steps.at(-1)?.y;
    steps.push({ x, y: best === undefined || isBetter(y, best) ? y : best });
  }
  await drawScatter(place, points, { xTitle: "trial", yTitle: sweep.metric, steps, height: 280 }, open);
}

async function drawCoordinates(place, legend, sweep, tried, open) {
  const columnOf = (name) => {
    const values = tried.map((each) => plainValue(each.parameters[name]));
    return { name, title: name, values, log: spansPowers(values) };
  };
  const differing = sweep.parameters.map(columnOf).filter(({ values }) => new Set(values).size > 1);
  const values = tried.map((each) => each.value);
  place.style.minWidth = `${Math.max(320, (differing.length + 1) * 110)}px`;
  fill(legend, scaleLegend(sweep.metric, values));
  await drawParallel(place, [...differing, { name: "metric", title: sweep.metric, values, log: false }], { rows: tried.map((each) => ({ id: each.run, title: each.display_name })), colours: values, open });
}

function trialsOf(sweep, { entity, project, state }) {
  const order = state.get("order") in ORDERS ? state.get("order") : "value";
  const sign = sweep.goal === "maximize" ? -1 : 1;
  const all = sweep.trials.map((each, i) => ({ ...each, number: i + 1 }));
  if (order === "value") all.sort((a, b) => (a.value === null) - (b.value === null) || sign * (a.value - b.value));
  const choose = h("select", { change: () => state.set({ order: choose.value }) }, Object.entries(ORDERS).map(([value, title]) => h("option", { value, selected: value === order }, title)));
  const head = ["Run", "State", sweep.metric ?? "Metric", ...sweep.parameters, "Began", "Took"];
  const row = (each) => h("tr", { data: each.run === sweep.best_run ? { best: "1" } : {} },
    h("th", { scope: "row" }, h("a", { href: pageOf(entity, project, each.run) }, each.display_name), h("span.quiet", {}, ` #${each.number}`)),
    h("td", {}, badge(each.state)),
    h("td.number", {}, each.value === null ? "–" : number(each.value)),
    sweep.parameters.map((name) => h("td.number", {}, brief(each.parameters[name]))),
    h("td", {}, ago(each.created_at)),
    h("td", {}, duration(each.duration)),
  );
  if (!all.length) return [h("h2", {}, "Runs"), h("p.quiet", {}, "No run has begun yet.")];
  return [
    h("div.tools", {}, h("h2", {}, "Runs"), h("label", {}, "Sorted ", choose)),
    h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Runs of the sweep" }, h("table.runs", {},
      h("thead", {}, h("tr", {}, head.map((title, i) => h(i >= 2 && i < head.length - 2 ? "th.number" : "th", { scope: "col", title }, title)))),
      h("tbody", {}, all.map(row)))),
  ];
}

function plainValue(value) {
  if (typeof value === "number" || value === null || value === undefined) return value ?? null;
  return typeof value === "string" ? value : JSON.stringify(value);
}
