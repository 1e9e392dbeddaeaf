// Points with Plotly: runs over two columns, or the trials of a sweep one after the other.

import { colour, loadPlotly, plain, themeColours } from "./plotly.js";
import { colourScale, extent } from "./scale.js";

/**
 * Draws points [{x, y, shade, title, id}]. `look`: titles (xTitle, yTitle), logX, logY, trend (a line through
 * them), steps ([{x, y}], a line of the best so far). `open(id)` is called for a point that is clicked.
 */
export async function drawScatter(place, points, look, open) {
  const Plotly = await loadPlotly();
  const theme = themeColours();
  const axis = { color: theme.text, gridcolor: theme.grid, zeroline: false, automargin: true, exponentformat: "e" }; // raised powers set styles that our policy forbids
  const shades = points.map((each) => each.shade ?? null);
  const shaded = shades.some((each) => typeof each === "number");
  const marker = shaded
    ? { size: 8, color: shades, colorscale: colourScale() }
    : { size: 8, color: theme.accent, opacity: 0.75 };
  const groups = groupsOf(points, shaded);
  const traces = groups.map(([name, members], i) => ({
    type: "scatter", mode: "markers", name: plain(name), x: members.map((each) => each.x), y: members.map((each) => each.y),
    customdata: members.map((each) => each.id), text: members.map((each) => plain(each.title)), hovertemplate: "%{text}<br>%{x}<br>%{y}<extra></extra>",
    marker: name ? { size: 8, color: colour(`var(--run-${i % 10})`), opacity: 0.8 } : marker,
  }));
  if (look.steps?.length) traces.push({ type: "scatter", mode: "lines", line: { shape: "hv", color: theme.accent, width: 2 }, x: look.steps.map((each) => each.x), y: look.steps.map((each) => each.y), name: "best so far", hovertemplate: "best so far %{y}<extra></extra>" });
  if (look.trend) traces.push(...trendOf(points, look, theme));
  const layout = {
    height: look.height ?? 380, margin: { l: 56, r: 16, t: 12, b: 44 }, hovermode: "closest", showlegend: groups.length > 1, dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: theme.text, size: 11.5, family: "inherit" }, legend: { orientation: "h", y: 1.08 },
    xaxis: { ...axis, title: { text: plain(look.xTitle), standoff: 8 }, type: kindOf(points, "x", look.logX) },
    yaxis: { ...axis, title: { text: plain(look.yTitle), standoff: 8 }, type: kindOf(points, "y", look.logY) },
    hoverlabel: { bgcolor: theme.card, bordercolor: theme.grid, font: { color: theme.strong } },
  };
  const first = !place.classList.contains("js-plotly-plot");
  await Plotly.react(place, traces, layout, { displayModeBar: false, responsive: true });
  place.open = open;
  if (first) place.on("plotly_click", ({ points: hit }) => hit[0].customdata !== undefined && place.open?.(hit[0].customdata));
}

/** Words colour points as groups of a legend, numbers along a scale. */
function groupsOf(points, shaded) {
  const words = points.some((each) => typeof each.shade === "string");
  return shaded || !words ? [["", points]] : [...Map.groupBy(points, (each) => String(each.shade ?? "none"))];
}

function kindOf(points, axis, log) {
  if (points.some((each) => typeof each[axis] === "string")) return "category";
  return log && points.some((each) => each[axis] > 0) ? "log" : "linear";
}

/** The straight line of least squares, on the axes as they are drawn; none where x or y are words. */
function trendOf(points, { logX, logY }, theme) {
  const [toX, toY] = [logX ? Math.log10 : Number, logY ? Math.log10 : Number];
  const pairs = points.filter(({ x, y }) => typeof x === "number" && typeof y === "number").map(({ x, y }) => [toX(x), toY(y)]).filter((pair) => pair.every(Number.isFinite));
  if (pairs.length < 3) return [];
  const mean = (at) => pairs.reduce((sum, pair) => sum + pair[at], 0) / pairs.length;
  const [mx, my] = [mean(0), mean(1)];
  const spread = pairs.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  if (spread === 0) return [];
  const slope = pairs.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0) / spread;
  const ends = extent(pairs.map(([x]) => x));
  const back = (value, log) => (log ? 10 ** value : value);
  return [{
    type: "scatter", mode: "lines", name: "trend", showlegend: false, line: { color: theme.text, width: 1.5, dash: "dash" }, hoverinfo: "skip",
    x: ends.map((x) => back(x, logX)), y: ends.map((x) => back(my + slope * (x - mx), logY)),
  }];
}
