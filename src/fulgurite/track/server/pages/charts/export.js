// What a chart shows, as a file: its points as CSV, itself as a picture.

import { h } from "../base/dom.js";
import { loadPlotly, plain, themeColours } from "./plotly.js";

/** The points of `lines` ([{line, style}]) as text: one row for each point, numbers in full. */
export function csvOf(lines, x) {
  const grouped = lines.some(({ line }) => line.deviation);
  const rows = [[grouped ? "group" : "run", x, grouped ? "mean" : "value", "low", "high", ...(grouped ? ["deviation"] : [])]];
  for (const { line, style } of lines) {
    line.x.forEach((place, i) => {
      const last = line.last[i];
      rows.push([style.title, place, last, line.low?.[i] ?? last, line.high?.[i] ?? last, ...(grouped ? [line.deviation[i]] : [])]);
    });
  }
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** Texts that a table program would read as a formula are told as texts. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function saveText(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  save(name, address);
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Saves what `plot` shows as a PNG of twice its size, on the theme's ground instead of none. */
export async function savePicture(name, plot, title) {
  const Plotly = await loadPlotly();
  const theme = themeColours();
  const named = { text: plain(title), font: { size: 13, color: theme.strong }, x: 0.02, xanchor: "left" };
  const layout = { ...plot.layout, paper_bgcolor: theme.card, margin: { ...plot.layout.margin, t: 34 }, title: named };
  const size = { width: plot.clientWidth, height: plot.clientHeight + 28 };
  save(name, await Plotly.toImage({ data: plot.data, layout: { ...layout, ...size } }, { format: "png", scale: 2, ...size }));
}

function save(name, address) {
  const link = h("a", { href: address, download: name.replace(/[^\w.-]+/g, "_") });
  document.body.append(link);
  link.click();
  link.remove();
}
