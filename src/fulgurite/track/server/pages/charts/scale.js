// The scale along which numbers colour lines and points. Plotly's own bar sets styles that our policy forbids.

import { h } from "../base/dom.js";
import { number } from "../base/format.js";
import { colour } from "./plotly.js";

const COLOURS = ["--run-scale-low", "--run-scale-middle", "--run-scale-high"];

/** The scale as Plotly wants it, in the colours of the theme. */
export function colourScale() {
  return COLOURS.map((name, i) => [i / (COLOURS.length - 1), colour(`var(${name})`)]);
}

/** A legend: which colour stands for the lowest of the numbers, and which for the highest. */
export function scaleLegend(title, numbers) {
  const known = numbers.filter((each) => typeof each === "number");
  if (!known.length) return null;
  const [low, high] = extent(known);
  return h("p.scale", {}, h("span.quiet", {}, title), h("span", {}, number(low)), h("span.strip", { "aria-hidden": "true" }), h("span", {}, number(high)));
}

export function extent(numbers) {
  let [low, high] = [Infinity, -Infinity];
  for (const each of numbers) {
    if (each < low) low = each;
    if (each > high) high = each;
  }
  return [low, high];
}

/** The colour at a share of the scale, from 0 to 1. */
export function mixed(scale, share) {
  const at = Math.min(scale.length - 2, Math.floor(share * (scale.length - 1)));
  const [[from, start], [to, end]] = [scale[at], scale[at + 1]];
  const part = (share - from) / (to - from);
  const channel = (hex, i) => parseInt(hex.slice(1 + 2 * i, 3 + 2 * i), 16);
  const mix = (i) => Math.round(channel(start, i) + part * (channel(end, i) - channel(start, i))).toString(16).padStart(2, "0");
  return `#${mix(0)}${mix(1)}${mix(2)}`;
}
