// What all drawings in three dimensions have in common: their axes, and where they are looked at from.

import { loadPlotly } from "../charts/plotly.js";
import { fill, h } from "../base/dom.js";
import { drawLater } from "./draw.js";

const UP = { y: { x: 0, y: 1, z: 0 }, z: { x: 0, y: 0, z: 1 } };
const FROM = { y: { x: 1.1, y: 0.9, z: 1.5 }, z: { x: 1.25, y: 1.25, z: 1.1 } };

/**
 * The element of a drawing that `load` gives: its `traces`, a `name` to be read out, `notes`, the axis that is `up`, and
 * whether it is `bare` of axes. Where it is looked at from stays in `about.settings`, so that it is the same at other steps.
 */
export function spaceView(file, words, about, load) {
  const plot = h("div.solid", {});
  const note = h("p.quiet", {}, h("a", { href: file, target: "_blank", rel: "noopener" }, words));
  drawLater(plot, async () => {
    const [{ traces, name, notes = [], up = "z", bare = false }, plotly] = await Promise.all([load(), loadPlotly()]);
    if (!plot.isConnected) return; // it was left in the meantime
    note.prepend(...notes.map((each) => `${each} `));
    fill(plot, "");
    await (plotly ?? window.Plotly).newPlot(plot, traces, layout(traces, up, bare, about.settings), { displayModeBar: false, responsive: true });
    plot.setAttribute("role", "img");
    plot.setAttribute("aria-label", [about.name, name].filter(Boolean).join(": "));
    plot.on("plotly_relayout", (change) => {
      if (change["scene.camera"]) Object.assign(about.settings, { camera: change["scene.camera"], up });
    });
  });
  return h("div.solid-view", { data: { plot: "3d" } }, plot, note);
}

/** The numbers that the server sent. */
export function numbersOf({ bdata }, Kind) {
  return new Kind(Uint8Array.from(atob(bdata), (letter) => letter.charCodeAt(0)).buffer);
}

/** What stands where nothing is drawn: why, and the file itself. */
export function notDrawn(file, why) {
  return h("p", {}, `${why} `, h("a", { href: file, target: "_blank", rel: "noopener" }, "The file"));
}

/**
 * Lets go of the drawings in an element: they hold memory of the graphics card, of which there is little. Whether there
 * were any, also ones that still load.
 */
export function release(element) {
  element.querySelectorAll('[data-plot="3d"] .js-plotly-plot').forEach((plot) => window.Plotly.purge(plot));
  return element.querySelector('[data-plot="3d"]') !== null;
}

function layout(traces, up, bare, settings) {
  const quiet = getComputedStyle(document.documentElement).getPropertyValue("--quiet").trim();
  const ranges = ["x", "y", "z"].map((axis) => rangeOf(traces.map((trace) => trace[axis])));
  const longest = Math.max(...ranges.map(([low, high]) => high - low)) || 1;
  // As large as fits however it is turned, and what is long somewhat larger than that.
  const scale = 0.82 * Math.min(Math.sqrt(3) / Math.hypot(...ranges.map(([low, high]) => (high - low) / longest)) || 1, 1.35);
  const scene = { aspectmode: "manual", aspectratio: {}, camera: settings.up === up ? settings.camera : { up: UP[up], eye: FROM[up] } };
  ["x", "y", "z"].forEach((axis, i) => {
    const [low, high] = ranges[i];
    const half = Math.max((high - low) / 2, longest / 100) * 1.05; // what is flat has no length of its own
    const range = [(low + high) / 2 - half, (low + high) / 2 + half];
    scene[`${axis}axis`] = { color: quiet, gridcolor: quiet, showbackground: false, zeroline: false, visible: !bare, title: { text: axis }, range };
    scene.aspectratio[axis] = (scale * 2 * half) / longest;
  });
  return { height: 340, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "transparent", scene, font: { color: quiet, size: 11 } };
}

/** The lowest and the highest of all finite numbers in some lists. */
function rangeOf(lists) {
  let [low, high] = [Infinity, -Infinity];
  for (const list of lists) {
    for (const each of list) {
      if (each === null || !Number.isFinite(each)) continue;
      if (each < low) low = each;
      if (each > high) high = each;
    }
  }
  return low <= high ? [low, high] : [-1, 1];
}
