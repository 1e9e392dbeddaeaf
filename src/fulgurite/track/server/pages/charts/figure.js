// What Plotly is told to draw: the lines of one chart with their bands, and the axes.

import { colour, faint, plain, themeColours } from "./plotly.js";
import { smoothed } from "./smoothing.js";

const FEW = 40; // points that are drawn as points, too
const BAND = 0.2; // how much one band covers; of many each covers less
const QUANTILES = [0.05, 0.95]; // what lies beyond them counts as an outlier

/**
 * Traces, layout, and what the crosshair reads. `lines` are [{line, style}]: what the server told (x, last, low, high,
 * deviation) and how it looks (title, colour, dash). `settings` are those of the board; `look` is of this chart: its size,
 * title, kind and scale of x, the range of x in sight, whether y is logarithmic, and its limits.
 */
export function figure(lines, settings, look) {
  const drawn = lines.map((each, number) => ({ ...each, number, ...points(each.line, settings, look) })).filter(({ x }) => x.length);
  const lowest = look.logY ? lowestAboveZero(drawn) : null;
  const traces = [
    ...(settings.band === "none" ? [] : drawn.map((each) => band(each, settings, lowest, BAND / Math.sqrt(drawn.length))).filter(Boolean)),
    ...(settings.smooth > 0 ? drawn.map(rawTrace) : []),
    ...drawn.map(lineTrace),
  ];
  return { traces, layout: layout(drawn, settings, look), drawn };
}

function points(line, settings, look) {
  const x = look.scale === 1 ? line.x : line.x.map((value) => value * look.scale);
  return { x, raw: line.last, y: smoothed(line.last, settings.by, settings.smooth) };
}

/** A `uid` ends up as a class of what is drawn: ".tracel3" is the line of the fourth series. */
function lineTrace({ x, y, style, number }) {
  const shown = { color: colour(style.colour), width: 1.6, dash: style.dash };
  return { uid: `l${number}`, x, y, mode: x.length <= FEW ? "lines+markers" : "lines", line: shown, marker: { size: 4 }, hoverinfo: "skip" };
}

function rawTrace({ x, raw, style, number }) {
  return { uid: `r${number}`, x, y: raw, mode: "lines", line: { color: faint(colour(style.colour), 0.25), width: 1 }, hoverinfo: "skip" };
}

/** The band as one shape: there along its upper edge and back along the lower one, piece by piece. */
function band({ line, x, style, number }, settings, lowest, share) {
  const [low, high] = edges(line, settings);
  if (!low) return null;
  const [xs, ys] = [[], []];
  const put = (i, values) => {
    xs.push(x[i]);
    ys.push(lowest === null ? values[i] : Math.max(values[i], lowest));
  };
  for (let start = 0; start < x.length; start++) {
    if (low[start] === null) continue;
    let end = start;
    while (end + 1 < x.length && low[end + 1] !== null) end++;
    for (let i = start; i <= end; i++) put(i, high);
    for (let i = end; i >= start; i--) put(i, low);
    xs.push(null);
    ys.push(null);
    start = end;
  }
  return { uid: `b${number}`, x: xs, y: ys, mode: "none", fill: "toself", fillcolor: faint(colour(style.colour), share), hoverinfo: "skip" };
}

function edges(line, settings) {
  if (!line.deviation || settings.band !== "deviation") return [line.low, line.high];
  return [-1, 1].map((sign) => line.last.map((mean, i) => (mean === null ? null : mean + sign * line.deviation[i])));
}

function lowestAboveZero(drawn) {
  let lowest = Infinity;
  for (const { y } of drawn) for (const value of y) if (value > 0 && value < lowest) lowest = value;
  return lowest;
}

function layout(drawn, settings, look) {
  const theme = themeColours();
  const touch = matchMedia("(pointer: coarse)").matches;
  const axis = { color: theme.text, gridcolor: theme.grid, linecolor: theme.grid, zeroline: false };
  const logX = settings.logx && !look.isTime;
  const title = { text: plain(look.xTitle), standoff: 4, font: { size: 10 } };
  const range = look.range?.map((value) => value * look.scale) ?? null;
  const seen = limits(drawn, settings, look);
  const labels = labelsOf(...(seen ?? extremes(drawn)));
  return {
    height: look.height, width: look.width, margin: { l: labels.room, r: 12, t: 6, b: look.xTitle ? 34 : 24 }, showlegend: false, hovermode: false,
    dragmode: touch ? false : "zoom", paper_bgcolor: "transparent", plot_bgcolor: "transparent",
    font: { color: theme.text, size: 11, family: "inherit" },
    xaxis: { ...axis, nticks: Math.max(3, Math.round(look.width / 60)), title, fixedrange: touch, type: look.isTime ? "date" : logX ? "log" : "linear", ...rangeOf(range, logX) },
    yaxis: { ...axis, nticks: Math.max(4, Math.round(look.height / 40)), fixedrange: true, exponentformat: labels.format, type: look.logY ? "log" : "linear", ...rangeOf(seen, look.logY) },
  };
}

function extremes(drawn) {
  let [low, high] = [Infinity, -Infinity];
  for (const { y } of drawn) {
    for (const value of y) {
      if (value < low && value !== null) low = value;
      if (value > high && value !== null) high = value;
    }
  }
  return low <= high ? [low, high] : [0, 1];
}

/** How the numbers at y are written, and the room they take. Plotly could measure it, but draws twice to do so. */
function labelsOf(low, high) {
  const largest = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const small = largest < 1e-3;
  const magnitude = Math.floor(Math.log10(largest));
  const exponent = small ? magnitude : Math.max(0, 3 * Math.floor(magnitude / 3)); // written apart, or as k, M, B
  const decimals = Math.min(9, Math.max(0, exponent - Math.floor(Math.log10((high - low || largest) / 5))));
  const digits = Math.max(1, magnitude - exponent + 1) + (decimals ? decimals + 0.6 : 0) + (low < 0 ? 0.8 : 0) + (small ? 3 : exponent ? 1 : 0);
  return { format: small ? "e" : "B", room: Math.round(Math.max(34, 12 + 6.6 * digits)) };
}

/** A range as Plotly has it: on a logarithmic axis in powers of ten. */
function rangeOf(range, log) {
  if (!range || (log && !(range[1] > 0))) return { autorange: true };
  if (!log) return { range, autorange: false };
  return { range: [Math.log10(range[0] > 0 ? range[0] : range[1] / 1e6), Math.log10(range[1])], autorange: false };
}

/** The limits of y that were set, for the rest those of what is drawn, without the outliers if so; null: Plotly's own. */
function limits(drawn, settings, look) {
  if (!settings.outliers && !look.limits) return null;
  const values = drawn.flatMap(({ y }) => y).filter((value) => value !== null && Number.isFinite(value) && (!look.logY || value > 0));
  if (values.length === 0) return null;
  values.sort((a, b) => a - b);
  const at = (share) => values[Math.round(share * (values.length - 1))];
  const [from, to] = settings.outliers ? QUANTILES.map(at) : [values[0], values.at(-1)];
  const room = look.logY ? 0 : 0.08 * (to - from || Math.abs(to) || 1);
  return [look.limits?.[0] ?? from - room, look.limits?.[1] ?? to + room];
}
