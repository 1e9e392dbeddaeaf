// The card of the parallel coordinates, with its brushes as words.

import { fill, h } from "../../base/dom.js";
import { brushText, chosenRows, drawParallel, spansPowers } from "../../charts/parallel.js";
import { scaleLegend } from "../../charts/scale.js";
import { label } from "./frame.js";

const WIDE = 105; // pixels an axis

export function parallelCard(context) {
  const { state, open } = context;
  const plot = h("div", {});
  const [chips, legend, note] = [h("div.chips", { role: "group", "aria-label": "Chosen ranges" }), h("div", {}), h("p.quiet", {})];
  const body = h("div.wide-plot", { tabindex: 0, role: "region", "aria-label": "Parallel coordinates; the table below tells the same" }, plot);
  const element = h("section.card", {}, h("div.tools", {}, h("h2", {}, "Parallel coordinates"), legend), note, chips, body);
  const set = (brushes) => state.set({ brush: Object.entries(brushes).map(([name, range]) => `${name}:${range.join(":")}`) });
  const chip = (column, brush, brushes) => {
    const drop = () => set(Object.fromEntries(Object.entries(brushes).filter(([name]) => name !== column.name)));
    return h("span.chip", {}, h("span", {}, h("span.quiet", {}, `${column.title} `), brushText(column, brush)), h("button", { type: "button", "aria-label": `Don't choose by ${column.title}`, click: drop }, "×"));
  };
  const draw = async (frame) => {
    const columns = columnsOf(context, frame);
    const brushes = brushesOf(state);
    const shown = columns.filter(({ values }) => values.some((each) => each !== null));
    body.hidden = shown.length < 2 || frame.runs.length === 0;
    fill(note, body.hidden ? "There are no two columns with values over these runs." : matchMedia("(pointer: coarse)").matches ? null : "Draw a box over an axis to choose runs.");
    fill(chips, shown.filter(({ name }) => name in brushes).map((column) => chip(column, brushes[column.name], brushes)));
    const colours = frame.values(context.metric());
    const numeric = colours.some((each) => typeof each === "number") ? colours.map((each) => (typeof each === "number" ? each : null)) : null;
    fill(legend, numeric ? scaleLegend(label(context.metric()), numeric) : null);
    if (body.hidden) return;
    plot.style.minWidth = `${shown.length * WIDE}px`;
    const rows = frame.runs.map((run) => ({ id: run.name, title: run.display_name }));
    await drawParallel(plot, shown, { rows, colours: numeric, brushes, brushed: set, open });
  };
  return { element, draw };
}

/** The axes as they are drawn: the settings that were chosen, and the metric behind them. */
function columnsOf(context, frame) {
  const names = [...new Set([...context.axes(), context.metric()])].filter(Boolean);
  return names.map((name) => {
    const values = frame.values(name);
    return { name, title: label(name), values, log: name !== context.metric() && spansPowers(values) };
  });
}

/** Which of the runs lie in all brushes. */
export function brushedRuns(context, frame) {
  return chosenRows(columnsOf(context, frame), brushesOf(context.state), frame.runs.length);
}

function brushesOf(state) {
  const read = (text) => {
    const [, name, low, high] = /^(.*):([^:]+):([^:]+)$/s.exec(text) ?? [];
    return [name, [Number(low), Number(high)]];
  };
  return Object.fromEntries(state.get("brush").map(read).filter(([name, range]) => name && range.every(Number.isFinite)));
}
