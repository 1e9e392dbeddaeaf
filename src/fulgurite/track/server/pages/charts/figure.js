// What Plotly is told to draw: the lines of one chart with their bands, and the axes.

import { colour, faint, themeColours } from "./plotly.js";
import { smoothed } from "./smoothing.js";

const FEW = 40; // points that are drawn as points, too
const QUANTILES = [0.05, 0.95]; // what lies beyond them counts as an outlier

/**
 * Traces and layout. `lines` are [{line, style}]: the server's line (x, last, low, high, deviation) and how it looks
 * (title, colour, dash, faded, strong). `settings` are those of the board, `look` those of this chart: title and kind of
 * x, the range in sight, log y and the limits of y.
 */
export function figure(lines, settings, look) {
  const drawn = lines.filter(({ line }) => line.x.length).map((each) => ({ ...each, ...points(each.line, settings, look) }));
  const lowest = look.logY ? Math.min(...drawn.flatMap(({ y }) => y.filter((value) => value > 0))) : null;
  const traces = [
    ...(settings.band ? drawn.flatMap((each) => bands(each, settings, lowest)) : []),
    ...(settings.smooth > 0 ? drawn.map(rawTrace) : []),
    ...drawn.map(lineTrace),
  ];
  return { traces, layout: layout(drawn, settings, look), drawn };
}

function points(line, settings, look) {
  const x = look.scale === 1 ? line.x : line.x.map((value) => value * look.scale);
  return { x, raw: line.last, y: smoothed(line.last, settings.by, settings.smooth) };
}

function lineTrace({ x, y, style }) {
  const shown = { color: faint(colour(style.colour), style.faded ? 0.18 : 1), width: style.strong ? 2.6 : 1.5, dash: style.dash };
  return { x, y, mode: x.length <= FEW ? "lines+markers" : "lines", line: shown, marker: { size: 4 }, name: style.title, hoverinfo: "skip" };
}

function rawTrace({ x, raw, style }) {
  return { x, y: raw, mode: "lines", line: { color: faint(colour(style.colour), style.faded ? 0.06 : 0.25), width: 1 }, hoverinfo: "skip" };
}

/** The stretches of the band as one shape: there along its upper edge and back along the lower one. */
function bands({ line, x, style }, settings, lowest) {
  const [low, high] = edges(line, settings);
  if (!low) return [];
  const [xs, ys] = [[], []];
  for (let start = 0; start < x.length; start++) {
    if (low[start] === null || high[start] === null) continue;
    let end = start;
    while (end + 1 < x.length && low[end + 1] !== null && high[end + 1] !== null) end++;
    for (let i = start; i <= end; i++) xs.push(x[i]), ys.push(high[i]);
    for (let i = end; i >= start; i--) xs.push(x[i]), ys.push(low[i]);
    xs.push(null), ys.push(null);
    start = end;
  }
  const y = lowest === null ? ys : ys.map((value) => (value === null ? null : Math.max(value, lowest)));
  const fillcolor = faint(colour(style.colour), style.faded ? 0.04 : 0.16);
  return [{ x: xs, y, mode: "none", fill: "toself", fillcolor, hoverinfo: "skip" }];
}

function edges(line, settings) {
  if (!line.deviation || settings.band !== "deviation") return [line.low, line.high];
  return [-1, 1].map((sign) => line.last.map((mean, i) => (mean === null ? null : mean + sign * line.deviation[i])));
}

function layout(drawn, settings, look) {
  const theme = themeColours();
  const touch = matchMedia("(pointer: coarse)").matches;
  const axis = { color: theme.text, gridcolor: theme.grid, linecolor: theme.grid, zeroline: false, automargin: true };
  const x = {
    ...axis, fixedrange: touch, nticks: 6, type: look.isTime ? "date" : settings.logx ? "log" : "linear",
    title: { text: look.xTitle, standoff: 4, font: { size: 10 } },
    ...rangeOf(look.range?.map((value) => value * look.scale), settings.logx && !look.isTime),
  };
  const y = { ...axis, fixedrange: true, nticks: 6, type: look.logY ? "log" : "linear", ...rangeOf(limits(drawn, settings, look), look.logY) };
  return {
    height: look.height, width: look.width, margin: { l: 46, r: 10, t: 6, b: 30 }, showlegend: false, hovermode: false,
    dragmode: touch ? false : "zoom", paper_bgcolor: "transparent", plot_bgcolor: "transparent",
    font: { color: theme.text, size: 11, family: "inherit" }, xaxis: x, yaxis: y, uirevision: "kept",
  };
}

/** A range as Plotly has it: on a log axis in powers of ten. */
function rangeOf(range, log) {
  if (!range) return { autorange: true };
  if (!log) return { range, autorange: false };
  if (!(range[1] > 0)) return { autorange: true };
  return { range: [Math.log10(range[0] > 0 ? range[0] : range[1] / 1e6), Math.log10(range[1])], autorange: false };
}

/** The limits of y that were set, or those without the outliers, or null. */
function limits(drawn, settings, look) {
  const values = [];
  if (settings.outliers || look.limits) for (const { y } of drawn) for (const value of y) if (Number.isFinite(value) && value !== null) values.push(value);
  if (values.length === 0) return null;
  const ordered = look.logY ? values.filter((value) => value > 0).sort((a, b) => a - b) : values.sort((a, b) => a - b);
  if (ordered.length === 0) return null;
  const at = (share) => ordered[Math.round(share * (ordered.length - 1))];
  const [from, to] = settings.outliers ? QUANTILES.map(at) : [ordered[0], ordered.at(-1)];
  const room = look.logY ? 0 : 0.08 * (to - from || Math.abs(to) || 1);
  const own = [from - room, to + room];
  return [look.limits?.[0] ?? own[0], look.limits?.[1] ?? own[1]];
}
