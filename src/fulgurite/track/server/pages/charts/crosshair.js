// One x over all charts: who points at a place in one chart reads the values there in every chart that is in sight.

import { fill, h } from "../base/dom.js";
import { number } from "../base/format.js";

const ROWS = 12; // values that are told in a chart
const FEW = 3; // lines of which the band is told, too
const WHOLE = { day: "2-digit", month: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };

/** `charts()` are those that are drawn: {plot, drawn, look}. Call `watch` with each when it has a plot. */
export function crosshair(charts) {
  let pointed = null; // the chart and the x that is pointed at
  let waiting = false;

  const show = () => {
    waiting = false;
    for (const chart of charts()) mark(chart, pointed);
  };
  const later = () => {
    // More often than the screen can show it there is nothing to be gained.
    if (!waiting) requestAnimationFrame(show);
    waiting = true;
  };
  return {
    watch(chart) {
      chart.plot.addEventListener("pointermove", (event) => {
        const x = event.buttons ? null : placeOf(chart, event);
        pointed = x === null ? null : { chart, x };
        later();
      });
      chart.plot.addEventListener("pointerleave", () => {
        pointed = null;
        later();
      });
    },
    /** Shows it anew in a chart that was drawn meanwhile. */
    again: () => pointed && later(),
  };
}

function axisIn(chart) {
  return chart.drawn ? chart.plot._fullLayout?.xaxis : null;
}

function placeOf(chart, event) {
  const axis = axisIn(chart);
  if (!axis) return null;
  const pixel = event.clientX - chart.plot.getBoundingClientRect().left - axis._offset;
  return pixel < 0 || pixel > axis._length ? null : axis.p2c(pixel) / chart.look.scale;
}

function mark(chart, pointed) {
  const axis = axisIn(chart);
  const pixel = pointed && axis ? axis.c2p(pointed.x * chart.look.scale) : NaN;
  if (!(pixel >= 0 && pixel <= axis._length)) return void (chart.cross && (chart.cross.hidden = true));
  chart.cross ??= chart.plot.parentElement.appendChild(h("div.cross", { "aria-hidden": "true" }, h("div.spike", {}), h("div.readout", {})));
  const { cross } = chart;
  const [spike, readout] = cross.children;
  const isPointed = pointed.chart === chart;
  fill(readout, isPointed ? h("b", {}, placeName(pointed.x, chart.look)) : null, rows(chart, pointed.x, isPointed));
  cross.hidden = false;
  const left = axis._offset + pixel;
  spike.style.transform = `translateX(${left}px)`;
  // Beside the line, on the side where there is more room.
  readout.classList.toggle("left", pixel > axis._length / 2);
  readout.style.left = pixel > axis._length / 2 ? "auto" : `${left + 8}px`;
  readout.style.right = pixel > axis._length / 2 ? `${chart.plot.clientWidth - left + 8}px` : "auto";
}

function rows(chart, x, named) {
  const found = [];
  for (const { x: places, y, style, line } of chart.drawn) {
    const i = nearest(places, x * chart.look.scale);
    if (i !== null && y[i] !== null) found.push({ style, value: y[i], line, i });
  }
  found.sort((a, b) => b.value - a.value);
  const more = found.length > ROWS ? [h("span.quiet", {}, `and ${found.length - ROWS} more`)] : [];
  return [...found.slice(0, ROWS).map((each) => row(each, named, found.length <= FEW)), ...more];
}

function row({ style, value, line, i }, named, few) {
  const swatch = h("i.swatch", {});
  swatch.style.background = style.colour;
  const band = named && few && line.low && line.low[i] !== null ? h("span.quiet", {}, ` ${number(line.low[i])} … ${number(line.high[i])}`) : null;
  return h("span.value", {}, swatch, h("span.figure", {}, number(value)), named ? h("span.title", {}, style.title) : null, band);
}

/** The number of the place nearest to `x`, or null where the line is not: before its first or behind its last point. */
export function nearest(places, x) {
  const last = places.length - 1;
  const room = last > 0 ? (places[last] - places[0]) / last : Infinity;
  if (last < 0 || x < places[0] - room || x > places[last] + room) return null;
  let [low, high] = [0, last];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (places[middle] <= x) low = middle;
    else high = middle;
  }
  return x - places[low] <= places[high] - x ? low : high;
}

function placeName(x, look) {
  if (look.isTime) return new Date(x * look.scale).toLocaleString("sv-SE", WHOLE);
  return `${look.xTitle} ${number(Number((x * look.scale).toPrecision(6)))}`;
}
