// Parallel coordinates: one line a run, one axis a column, and brushes on the axes. They are drawn with Plotly's plain
// lines: its own kind needs WebGL, which browsers on remote and virtual machines often lack.

import { brief, number } from "../base/format.js";
import { faint, loadPlotly, plain, themeColours } from "./plotly.js";
import { colourScale, extent, mixed } from "./scale.js";

const SHADES = 16; // that are told apart: lines of one shade are one trace
const MOST_WORDS = 14; // ticks of an axis of words
const FEW_VALUES = 8; // of numbers that are ticks themselves
const LETTERS = 18;

/**
 * Draws rows over columns. `columns` are [{name, title, values, log}], one value a row (null for none); `rows` are
 * [{id, title}]; `colours` are numbers, one a row, or null; `brushes` holds by name the range of an axis that is chosen.
 * `brushed(brushes)` hears of a box that was drawn over axes, `open(id)` of a click on a line. Rows without a value are
 * drawn as far as they have values on neighbouring axes.
 */
export async function drawParallel(place, columns, { rows, colours = null, brushes = {}, brushed = null, open = null }) {
  const Plotly = await loadPlotly();
  const theme = themeColours();
  const axes = columns.map(axisOf);
  const chosen = rows.map((_, row) => isChosen(axes, brushes, row));
  const others = rows.map((_, row) => row).filter((row) => !chosen[row]);
  const groups = shadesOf(rows.map((_, row) => row).filter((row) => chosen[row]), colours, theme);
  const many = Math.max(0.25, Math.min(0.8, 40 / rows.length));
  const traces = [
    { ...lines(axes, rows, others), line: { color: faint(theme.grid, 0.7), width: 1 }, hoverinfo: "skip" },
    ...groups.map(([shade, members]) => ({ ...lines(axes, rows, members), line: { color: faint(shade, many), width: 1.4 }, hovertemplate: "%{text}<extra></extra>" })),
  ];
  const layout = {
    height: 380, margin: { l: 62, r: 62, t: 48, b: 20 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent", showlegend: false, hovermode: "closest",
    font: { family: "inherit", color: theme.text, size: 11 }, hoverlabel: { bgcolor: theme.card, bordercolor: theme.grid, font: { color: theme.strong } },
    dragmode: brushed && !matchMedia("(pointer: coarse)").matches ? "select" : false, selections: [],
    xaxis: { visible: false, fixedrange: true, range: [-0.02, Math.max(axes.length - 0.98, 0.02)] }, yaxis: { visible: false, fixedrange: true, range: [-0.03, 1.03] },
    shapes: axes.flatMap((axis, x) => marks(axis, x, brushes[axis.name], theme)),
    annotations: axes.flatMap((axis, x) => words(axis, x, axes.length, theme)),
  };
  const first = !place.classList.contains("js-plotly-plot");
  await Plotly.react(place, traces, layout, { displayModeBar: false, responsive: true, doubleClick: false });
  place.heard = { axes, brushes, brushed, open };
  if (first) listen(place);
}

/** Whether a row lies in all brushes. */
function isChosen(axes, brushes, row) {
  return axes.every(({ name, places }) => {
    const brush = brushes[name];
    return !brush || (places[row] !== null && places[row] >= brush[0] && places[row] <= brush[1]);
  });
}

/** Which rows the brushes leave, over columns as they are drawn. */
export function chosenRows(columns, brushes, count) {
  const axes = columns.filter(({ name }) => name in brushes).map(axisOf);
  return Array.from({ length: count }, (_, row) => isChosen(axes, brushes, row));
}

/** A brush in words: the range on its axis as people read its values. */
export function brushText(column, [low, high]) {
  const { words: known } = axisOf(column);
  if (known) return known.filter((_, i) => i >= low && i <= high).join(", ") || "nothing";
  const back = (value) => number(column.log ? 10 ** value : value);
  return `${back(low)} to ${back(high)}`;
}

/** Whether an axis of these values tells more in powers of ten: all above zero, over two powers or more. */
export function spansPowers(values) {
  const known = values.filter((each) => each !== null);
  if (!known.length || !known.every((each) => typeof each === "number")) return false;
  const [low, high] = extent(known);
  return low > 0 && high / low >= 100;
}

/** A column as an axis: the place of each row on it, its ends, and its ticks. */
function axisOf({ name, title, values, log }) {
  const isNumeric = values.every((each) => each === null || typeof each === "number");
  if (!isNumeric) {
    const known = [...new Set(values.filter((each) => each !== null).map(String))].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    const order = new Map(known.map((word, i) => [word, i]));
    const every = Math.ceil(known.length / MOST_WORDS);
    const ticks = known.map((word, i) => [i, word]).filter(([i]) => i % every === 0);
    return { name, title, words: known, places: values.map((each) => (each === null ? null : order.get(String(each)))), low: -0.3, high: known.length - 0.7, ticks };
  }
  const places = values.map((each) => (each === null || (log && each <= 0) ? null : log ? Math.log10(each) : each));
  let [low, high] = extent(places.filter((each) => each !== null));
  if (!(low < high)) [low, high] = Number.isFinite(low) ? [low - 0.5, low + 0.5] : [0, 1];
  const back = (value) => number(Number((log ? 10 ** value : value).toPrecision(3)));
  const powers = [];
  for (let power = Math.ceil(low); log && power <= high; power++) powers.push(power);
  const distinct = [...new Set(values)].filter((each) => each !== null);
  const few = distinct.length <= FEW_VALUES && !tooClose(distinct.map((each) => (log ? Math.log10(each) : each)), high - low);
  const ticks = few ? distinct.map((each) => (log ? Math.log10(each) : each)) : powers.length >= 2 ? [low, ...powers.filter((each) => each - low > 0.15 * (high - low) && high - each > 0.15 * (high - low)), high] : [0, 0.25, 0.5, 0.75, 1].map((share) => low + share * (high - low));
  return { name, title, log, words: null, places, low, high, ticks: ticks.map((value) => [value, back(value)]) };
}

function tooClose(places, span) {
  const sorted = [...places].sort((a, b) => a - b);
  return sorted.some((each, i) => i && each - sorted[i - 1] < 0.06 * span);
}

function lines(axes, rows, members) {
  const [x, y, text, customdata] = [[], [], [], []];
  for (const row of members) {
    axes.forEach((axis, i) => {
      const place = axis.places[row];
      x.push(i);
      y.push(place === null ? null : (place - axis.low) / (axis.high - axis.low));
      text.push(place === null ? "" : `${plain(rows[row].title)}<br>${plain(axis.title)}: ${plain(brief(axis.words ? axis.words[place] : axis.log ? 10 ** place : place))}`);
      customdata.push(rows[row].id);
    });
    x.push(null);
    y.push(null);
    text.push("");
    customdata.push(null);
  }
  return { type: "scatter", mode: "lines", x, y, text, customdata, connectgaps: false };
}

/** Rows by shade: few traces, however many rows there are. */
function shadesOf(members, colours, theme) {
  const known = colours ? members.map((row) => colours[row]).filter((each) => each !== null) : [];
  if (!known.length) return [[theme.accent, members]];
  const [low, high] = extent(colours.filter((each) => each !== null));
  const scale = colourScale();
  const shade = (row) => (colours[row] === null ? theme.text : mixed(scale, Math.round((SHADES * (colours[row] - low)) / (high - low || 1)) / SHADES));
  return [...Map.groupBy(members, shade)];
}

function marks(axis, x, brush, theme) {
  const line = { type: "line", x0: x, x1: x, y0: 0, y1: 1, line: { color: theme.text, width: 1 } };
  if (!brush) return [line];
  const [y0, y1] = brush.map((place) => Math.min(1.02, Math.max(-0.02, (place - axis.low) / (axis.high - axis.low))));
  return [line, { type: "rect", xref: "x", x0: x - 0.025, x1: x + 0.025, y0, y1, line: { color: theme.accent, width: 1.5 }, fillcolor: faint(theme.accent, 0.25) }];
}

function words(axis, x, count, theme) {
  const title = axis.title.length > LETTERS ? `…${axis.title.slice(1 - LETTERS)}` : axis.title;
  const last = x === count - 1 && count > 1;
  const tick = ([place, word]) => ({
    x, y: (place - axis.low) / (axis.high - axis.low), text: plain(word.length > LETTERS ? `${word.slice(0, LETTERS - 1)}…` : word), showarrow: false,
    xanchor: last ? "left" : "right", xshift: last ? 5 : -5, font: { size: 10.5, color: theme.text }, bgcolor: faint(theme.card, 0.88), borderpad: 0,
  });
  return [
    { x, y: 1, yshift: 16, text: plain(title), hovertext: plain(axis.title), showarrow: false, yanchor: "bottom", xanchor: "center", font: { size: 11.5, color: theme.strong } },
    ...axis.ticks.map(tick),
  ];
}

/** A box chooses on all axes that it covers; one between axes, on the nearest. */
function listen(place) {
  place.on("plotly_selected", (event) => {
    const { axes, brushes, brushed } = place.heard;
    if (!event?.range || !brushed) return;
    const [left, right] = [Math.min(...event.range.x), Math.max(...event.range.x)];
    const covered = axes.map((_, x) => x).filter((x) => x >= left && x <= right);
    const nearest = Math.max(0, Math.min(axes.length - 1, Math.round((left + right) / 2)));
    const [low, high] = [Math.min(...event.range.y), Math.max(...event.range.y)];
    const range = ({ low: from, high: to }) => [low, high].map((share) => Number((from + share * (to - from)).toPrecision(6)));
    const fresh = Object.fromEntries((covered.length ? covered : [nearest]).map((x) => [axes[x].name, range(axes[x])]));
    brushed({ ...brushes, ...fresh });
  });
  place.on("plotly_click", ({ points }) => points[0].customdata && place.heard.open?.(points[0].customdata));
}
