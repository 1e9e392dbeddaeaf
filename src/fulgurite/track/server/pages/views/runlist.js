// The runs of a project beside its charts: searched, filtered, sorted and grouped as in the table, chosen to be drawn.

import { get, pageOf } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { ago } from "../base/format.js";
import { colourOf } from "../charts/palette.js";
import { groupsIn, MOST_RUNS } from "./groups.js";
import { runQuery } from "./runquery.js";
import { NO_RUN } from "./table/selection.js";

/** What the views of a project share in their address; `hidden` are the groups that are not drawn. */
export const RUNS = { search: "", filter: [], sort: [], group: [], runs: [], hidden: [] };
const PAGE = 100;
const MOST_EXTRA = 50; // chosen runs beyond the window
const SAMPLES = { solid: "", dash: "5 3", dot: "1.5 2.5", dashdot: "5 2.5 1.5 2.5" };

/** `draw(runs, groups)` is called when they or the choice have changed, `point(id)` with the series under the pointer. */
export function runList({ path, entity, project, state, draw, point }) {
  const byId = new Map();
  const extra = new Map(); // chosen runs that are not in the window, by name
  let answer = null; // the last one
  let most = PAGE;
  let series = [];
  const count = h("span.quiet", {});
  const fault = h("p.fault", { role: "alert" });
  const rows = h("ul.runrows", {});
  const more = h("button.plain", { hidden: true, click: () => ((most += PAGE), reload()) }, "Show more");
  const newest = h("button.plain", { click: () => state.set({ runs: [], hidden: [] }) }, "Back to the first 10");
  const query = runQuery(path, state);
  const element = h("div", {}, query.element, fault, rows, h("div", {}, more, newest));

  const asked = () => {
    const { search, filter, sort, group } = state.all();
    return { search: search || null, filter, sort, group, column: group.length ? group : ["name"], first: group.length ? MOST_RUNS : most };
  };
  let listed = ""; // what was asked for
  let refused = null; // what can't be asked for
  const reload = () => tick().catch((error) => fill(fault, error.message));
  /** What can't be understood is told beside the fields; that the server is away is told by who asks again and again. */
  const tick = async () => {
    const what = JSON.stringify(asked());
    if (what === refused) return;
    try {
      await look();
    } catch (error) {
      if (error.status !== 400) throw error;
      refused = what;
      fill(fault, error.message);
    }
  };
  const look = async () => {
    const what = JSON.stringify(asked());
    const since = what === listed ? answer?.version : null;
    let found = await get(`${path}/table`, { ...asked(), since });
    const known = new Map([...found.runs.map((run) => [run.id, run])]);
    if (found.order.some((id) => !known.has(id) && !byId.has(id))) found = await get(`${path}/table`, asked());
    if (what !== JSON.stringify(asked())) return; // something else is asked for by now
    refused = null;
    const before = answer && JSON.stringify([answer.order, answer.groups, answer.matched, answer.total]);
    for (const run of found.runs) byId.set(run.id, run);
    [answer, listed] = [found, what];
    fill(fault, "");
    await fetchExtra();
    if (found.runs.length || before !== JSON.stringify([found.order, found.groups, found.matched, found.total])) news();
  };
  /** Runs that are chosen but not in sight are known by name only. */
  const fetchExtra = async () => {
    const there = new Set(windowRuns().map((run) => run.name));
    const lacking = state.get("runs").filter((name) => name !== NO_RUN && !there.has(name) && !extra.has(name)).slice(0, MOST_EXTRA);
    const found = await Promise.allSettled(lacking.map((name) => get(`${path}/runs/${encodeURIComponent(name)}`)));
    found.forEach(({ value }, i) => extra.set(lacking[i], value ? { ...value, isExtra: true } : null));
  };
  const windowRuns = () => answer.order.flatMap((id) => byId.get(id) ?? []);
  const runs = () => {
    const there = windowRuns();
    const names = new Set(there.map((run) => run.name));
    const others = state.get("runs").filter((name) => !names.has(name)).flatMap((name) => extra.get(name) ?? []);
    return [...there, ...others];
  };
  const news = () => {
    const grouped = state.get("group").length > 0;
    draw(runs(), grouped ? groupsIn(answer, state.get("group"), byId) : []);
  };
  const list = () => {
    const grouped = state.get("group").length > 0;
    fill(count, answer.matched === answer.total ? String(answer.total) : `${answer.matched} of ${answer.total}`);
    more.hidden = grouped || answer.matched <= answer.order.length;
    newest.hidden = grouped ? state.get("hidden").length === 0 : state.get("runs").length === 0;
    const lines = grouped ? groupsIn(answer, state.get("group"), byId).map(groupRow) : runs().map(runRow);
    fill(rows, lines.length ? lines : h("li.quiet", {}, answer.total ? "No run is like that." : "This project has no runs."));
  };
  const styleOf = (id) => series.find((each) => each.id === id);
  const row = (id, colour, style, body, change) => {
    const box = h("input", { type: "checkbox", checked: Boolean(style), change: () => change(box.checked) });
    box.style.accentColor = colour;
    const listen = { pointerenter: () => point(id), pointerleave: () => point(null), focusin: () => point(id), focusout: () => point(null) };
    return h("li", { ...listen, data: { id } }, h("label.check", {}, box, sample(colour, style?.dash ?? "solid"), body.label), body.rest);
  };
  const runRow = (run) => {
    const change = (chosen) => {
      const others = series.map((each) => each.id).filter((name) => name !== run.name);
      const names = chosen ? [...others, run.name] : others;
      state.set({ runs: names.length ? names : [NO_RUN] });
    };
    const label = h("span.name", { title: run.display_name }, run.display_name);
    const running = run.state === "running" ? h("span.live", { title: "running" }, "●") : null;
    const link = h("a", { href: pageOf(entity, project, run.name), "aria-label": `Open ${run.display_name}`, title: `Open; ${run.state}, ${ago(run.created ?? run.created_at)}` }, "↗");
    return row(run.name, colourOf(run.id), styleOf(run.name), { label, rest: [running, link] }, change);
  };
  const groupRow = (group) => {
    const change = (chosen) => {
      const others = state.get("hidden").filter((label) => label !== group.label);
      state.set({ hidden: chosen ? others : [...others, group.label] });
    };
    const label = h("span.name", { title: group.label }, group.label);
    return row(group.label, colourOf(group.number), styleOf(group.label), { label, rest: h("span.quiet", {}, String(group.count)) }, change);
  };
  state.on(async (values, changes) => {
    if (JSON.stringify(asked()) !== listed) return void reload();
    await fetchExtra();
    news();
  });
  return {
    element,
    count,
    tick,
    /** Looks whether the runs that are chosen are all there. */
    async recheck() {
      extra.clear();
      await fetchExtra();
      news();
    },
    /** Shows which series are drawn, and how. */
    mark(drawn) {
      series = drawn;
      const focus = rows.contains(document.activeElement) ? document.activeElement.closest("li")?.dataset.id : null;
      list();
      if (focus !== null) [...rows.children].find((each) => each.dataset.id === focus)?.querySelector("input").focus();
    },
  };
}

/** A piece of the line as it is drawn. */
function sample(colour, dash) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [name, value] of Object.entries({ width: 18, height: 10, "aria-hidden": "true" })) svg.setAttribute(name, value);
  for (const [name, value] of Object.entries({ x1: 0, x2: 18, y1: 5, y2: 5, "stroke-width": 3, "stroke-dasharray": SAMPLES[dash] })) line.setAttribute(name, value);
  line.style.stroke = colour;
  svg.append(line);
  return svg;
}
