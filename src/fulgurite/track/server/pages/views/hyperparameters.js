// The chosen runs over their settings: parallel coordinates, a scatter plot, and which settings matter for a metric.

import { get, pageOf } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { filterBar } from "../base/filters.js";
import { openAt } from "../base/menu.js";
import { every } from "../base/poll.js";
import { addressState } from "../base/state.js";
import { loadStyles } from "../base/styles.js";
import { attempt } from "../base/toast.js";
import { Frame, label, risesWell } from "./hyperparameters/frame.js";
import { importanceCard } from "./hyperparameters/importance.js";
import { parallelCard } from "./hyperparameters/parallel.js";
import { rowsCard } from "./hyperparameters/rows.js";
import { scatterCard } from "./hyperparameters/scatter.js";

const AXES = 6; // that are shown unless others are chosen
const OWN = ["name", "id", "state", "created", "duration", "group", "job_type", "sweep", "tags", "notes", "rows", "source"];
const DEFAULTS = { search: "", filter: [], metric: "", axis: [], brush: [], across: "", up: "", shade: "", logx: false, logy: false, trend: true };

export async function show(place, { entity, project, path }) {
  await loadStyles("plots");
  const state = addressState(DEFAULTS, `project ${entity}/${project}`);
  const { columns, own } = await get(`${path}/columns`);
  const about = new Map(columns.map((each) => [each.name, each]));
  const settings = columns.filter((each) => each.name.startsWith("config.") && differs(each)).map((each) => each.name);
  const results = columns.filter((each) => each.name.startsWith("summary.") && !each.name.startsWith("summary._") && each.kind === "number").map((each) => each.name);
  if (!settings.length && !results.length) return fill(place, nothing());

  const context = {
    entity, project, path, state, settings, results, about,
    open: (run) => (location.href = pageOf(entity, project, run)),
    metric: () => (about.has(state.get("metric")) ? state.get("metric") : usualMetric(results)),
    axes: () => (state.get("axis").length ? state.get("axis") : settings.slice(0, AXES)),
  };
  const frame = new Frame(path);
  const cards = [parallelCard, rowsCard, importanceCard, scatterCard].map((make) => make(context));
  const tools = toolsOf(context, own);
  const count = h("span.quiet", { role: "status" });
  fill(place, h("div.tools", {}, tools.elements, count), h("div.hyper", {}, cards.map((card) => card.element)));

  const needed = () => [...new Set([...context.axes(), context.metric(), state.get("across"), state.get("up"), state.get("shade")])].filter((name) => about.has(name) || OWN.includes(name));
  const query = () => ({ search: state.get("search") || null, filter: state.get("filter"), column: needed() });
  const draw = () => {
    fill(count, frame.told());
    for (const card of cards) attempt(async () => card.draw(frame));
  };
  state.on(async (values, changes) => {
    tools.draw();
    await attempt(async () => {
      await frame.ask(query());
      draw();
    });
  });
  await every(5, async () => {
    if (await frame.ask(query(), { renew: true })) draw();
  });
}

function toolsOf(context, own) {
  const { state, settings, results, about } = context;
  let timer = null;
  const typed = () => {
    clearTimeout(timer);
    timer = setTimeout(() => state.set({ search: search.value.trim() }), 250);
  };
  const search = h("input", { type: "search", value: state.get("search"), placeholder: "Search runs", "aria-label": "Search runs", autocomplete: "off", input: typed });
  const describe = (name) => about.get(name) ?? (own?.[name] ? { kind: "text", values: own[name] } : null);
  const filters = filterBar({ columns: () => [...OWN, ...about.keys()], about: describe, get: () => state.get("filter"), set: (filter) => state.set({ filter }) });
  const metric = h("select", { change: () => state.set({ metric: metric.value }) }, results.map((name) => h("option", { value: name, selected: name === context.metric() }, label(name))));
  const axes = h("button", { type: "button", "aria-haspopup": "dialog", click: () => chooseAxes(axes, context) }, "Axes");
  const draw = () => {
    filters.draw();
    if (document.activeElement !== search) search.value = state.get("search");
    metric.value = context.metric();
  };
  return { elements: [search, filters.element, results.length ? h("label.metric", {}, "Metric ", metric) : null, settings.length ? axes : null], draw };
}

function chooseAxes(anchor, context) {
  const { state, settings, results } = context;
  const box = (name) => {
    const change = (event) => {
      const kept = context.axes().filter((each) => each !== name);
      state.set({ axis: event.currentTarget.checked ? [...kept, name] : kept, brush: state.get("brush").filter((each) => !each.startsWith(`${name}:`)) });
    };
    return h("label", {}, h("input", { type: "checkbox", checked: context.axes().includes(name), change }), label(name));
  };
  const others = results.filter((name) => name !== context.metric());
  openAt(anchor, h("div.editor", {}, h("strong", {}, "Axes of the parallel coordinates"), h("div.choices", { role: "group", "aria-label": "Axes" }, settings.map(box), others.length ? h("p.quiet", {}, "Results") : null, others.map(box))), { label: "Axes" });
}

function differs({ kind, values }) {
  return kind !== "other" && (values === null || values.length > 1);
}

/** A loss of validation where there is one, else any loss, else the first result. */
function usualMetric(results) {
  const rank = (name) => (/val.*loss|loss.*val/i.test(name) ? 0 : /loss/i.test(name) ? 1 : risesWell(name) ? 2 : 3);
  return [...results].sort((a, b) => rank(a) - rank(b))[0] ?? "";
}

function nothing() {
  return h("section.empty", {}, h("h2", {}, "There is nothing to compare yet"), h("p", {}, "Runs with settings that differ (their config) and numbers in their summary are compared here."));
}
