// A Plotly figure that somebody logged.

import { loadPlotly } from "../charts/plotly.js";
import { fill, h } from "../base/dom.js";
import { drawLater } from "./draw.js";

const LARGEST = 32e6; // bytes
// These build programs out of texts, which our policy lets no script do; the others draw the same.
const PLAIN = { scattergl: "scatter", scatterpolargl: "scatterpolar", heatmapgl: "heatmap" };
const NEEDS_PROGRAMS = ["parcoords", "splom", "pointcloud"];
const NO_JSON = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;

export function figureView(file, { size = 0 }) {
  const link = h("a", { href: file, target: "_blank", rel: "noopener" }, "JSON");
  if (size > LARGEST) return h("p", {}, "This figure is too large to be drawn here: ", link);
  const plot = h("div.figure", {});
  drawLater(plot, async () => {
    const [answer, plotly] = await Promise.all([fetch(file), loadPlotly()]);
    const { data = [], layout = {} } = JSON.parse((await answer.text()).replace(NO_JSON, (word) => (word.startsWith('"') ? word : "null")));
    const missing = data.find((trace) => NEEDS_PROGRAMS.includes(trace.type));
    if (missing) throw new Error(`figures of the kind ${missing.type} need what this page's policy forbids.`);
    const traces = data.map((trace) => ({ ...trace, type: PLAIN[trace.type] ?? trace.type }));
    fill(plot, "");
    await (plotly ?? window.Plotly).newPlot(plot, traces, { ...layout, autosize: true, width: undefined, height: Math.min(layout.height ?? 360, 900) }, { responsive: true, displayModeBar: false });
  });
  return h("div.figure-view", { data: { plot: "figure" } }, plot, link);
}
