// Draws one line with Plotly: the last value of each stretch, and its lowest and highest as a band.

import { h } from "../base/dom.js";

const COLOURS = { line: "--accent", band: "--band", text: "--quiet", grid: "--line" };
// Plotly brings the styles of its maps along and adds them where no element has this name. We draw no maps.
const STYLES_OF_MAPS = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";
const FEW = 40; // points that are drawn as points, too
let loading = null;

/** Plotly is large, so it is loaded when the first chart is drawn. */
export function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    const missing = () => reject(new Error('Plotly could not be loaded. On the server: pip install "fulgurite[track]"'));
    const script = h("script", { src: "/static/plotly.min.js", load: () => resolve(), error: missing });
    document.head.append(h("template", { id: STYLES_OF_MAPS }), script);
  });
  return loading;
}

/** Draws `line` (x, last, low, high). `scale` makes x milliseconds where it is a time; `onZoom` hears a range or null. */
export function drawLine(place, line, { title, scale, range, onZoom }) {
  const colours = Object.fromEntries(Object.entries(COLOURS).map(([name, variable]) => [name, colour(variable)]));
  const x = scale ? line.x.map((value) => value * scale) : line.x;
  const traces = [];
  if (line.low) traces.push(...band(x, line, colours.band));
  traces.push({
    x, y: line.last, mode: x.length <= FEW ? "lines+markers" : "lines", line: { color: colours.line, width: 1.6 },
    marker: { size: 5 }, hovertemplate: "%{y}<extra></extra>",
  });
  const touch = matchMedia("(pointer: coarse)").matches;
  const axis = { color: colours.text, gridcolor: colours.grid, zeroline: false, automargin: true, fixedrange: touch };
  const layout = {
    height: 220, margin: { l: 48, r: 12, t: 6, b: 34 }, showlegend: false, hovermode: "x", dragmode: touch ? false : "zoom",
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: colours.text, size: 11, family: "inherit" },
    xaxis: { ...axis, title: { text: title, standoff: 4 }, type: scale ? "date" : "linear", range: range?.map((value) => value * (scale ?? 1)), autorange: range === null },
    yaxis: { ...axis, fixedrange: true },
    uirevision: "kept",
  };
  const first = !place.classList.contains("js-plotly-plot");
  window.Plotly.react(place, traces, layout, { displayModeBar: false, responsive: true, doubleClick: "autosize" });
  if (first) place.on("plotly_relayout", (change) => zoomed(change, scale, onZoom));
}

export function releaseLine(place) {
  window.Plotly?.purge(place);
}

function zoomed(change, scale, onZoom) {
  if (change["xaxis.autorange"]) return onZoom(null);
  const range = change["xaxis.range"] ?? [change["xaxis.range[0]"], change["xaxis.range[1]"]];
  if (range[0] === undefined) return;
  onZoom(range.map((value) => (scale ? new Date(value).getTime() / scale : Number(value))));
}

function band(x, line, fill) {
  const bare = { x, mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
  return [{ ...bare, y: line.low }, { ...bare, y: line.high, fill: "tonexty", fillcolor: fill }];
}

function colour(variable) {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
}
