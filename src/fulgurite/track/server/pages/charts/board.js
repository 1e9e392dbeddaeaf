// All charts of some runs: in sections by the beginning of their names, the ones in sight drawn, all looking alike.

import { fill, h } from "../base/dom.js";
import { addressState } from "../base/state.js";
import { Chart } from "./chart.js";
import { crosshair } from "./crosshair.js";
import { fullScreen } from "./fullscreen.js";
import { follower } from "./live.js";
import { chartMenu } from "./menu.js";
import { loadPlotly } from "./plotly.js";
import { BOARD, limitsIn, rangeIn, toolbar } from "./settings.js";
import { sections } from "./sections.js";
import { source } from "./source.js";

const SLICE = 10; // milliseconds of drawing, after which the page may do something else
const KEPT = 150; // charts
const states = new Map();

/** The state of all boards of a place; they share one, since they share the address. */
export function boardState(place) {
  if (!states.has(place)) states.set(place, addressState(BOARD, place));
  return states.get(place);
}

/**
 * `path` is the project's, `stream` "history" or "system", `place` names the state. The board's `show(series)` says what
 * to draw: [{id, title, colour, dash, runs: [name], isGroup}]. `element` is what to put on the page.
 */
export function board({ path, stream, place, nothing }) {
  return new Board(path, stream, boardState(place), nothing);
}

class Board {
  constructor(path, stream, state, nothing) {
    Object.assign(this, { stream, state, empty: nothing });
    this.settings = state.all();
    this.series = [];
    this.charts = new Map();
    this.full = null;
    this.dirty = new Set(); // to be drawn, or taken away
    this.kept = new Set(); // out of sight, with their lines
    this.source = source(path, stream, (chart) => this.draw(chart), (chart, error) => chart.say(error.message));
    this.follower = follower(this, this.source);
    this.cross = crosshair(() => [...this.all()].filter((chart) => chart.drawn && chart.inSight));
    this.menu = chartMenu(this);
    this.tools = toolbar(state, stream);
    this.sections = sections(this);
    this.screen = fullScreen(this);
    this.element = h("div.board", {}, this.tools.element, this.sections.element, this.menu.element, this.screen.element);
    this.sight = new IntersectionObserver((entries) => entries.forEach((entry) => this.noteSight(entry)), { rootMargin: "200px" });
    this.widths = new ResizeObserver(([{ contentRect }]) => this.resized(contentRect.width));
    this.widths.observe(this.sections.element);
    state.on((values, changes) => this.changed(values, changes));
    loadPlotly().catch(() => {});
  }

  /** How many charts there are. */
  get size() {
    return this.charts.size;
  }

  get zoom() {
    return rangeIn(this.settings.zoom);
  }

  *all() {
    yield* this.charts.values();
    if (this.full) yield this.full;
  }

  inSight() {
    return [...this.all()].filter((chart) => chart.inSight);
  }

  /** Draws these series from now on. */
  show(series) {
    if (JSON.stringify(series) === JSON.stringify(this.series)) return;
    const gone = new Set(this.series.map((each) => each.id));
    // A group of which other runs are members now is another line.
    const same = new Set(this.series.map((each) => `${each.id}\n${each.runs.join("\n")}`));
    this.series = series;
    for (const each of series) if (same.has(`${each.id}\n${each.runs.join("\n")}`)) gone.delete(each.id);
    for (const chart of this.all()) gone.forEach((id) => chart.lines.delete(id));
    for (const chart of this.inSight()) this.renew(chart);
  }

  /** Asks what is new. To be called again and again while the board is on the page. */
  tick() {
    return this.follower.tick();
  }

  /** What the runs of the series have logged; `whole` if these are all of their keys. */
  takeKeys(keys, whole) {
    const plotted = keys.filter((each) => each.kind !== "other" && !each.name.startsWith("_"));
    let fresh = false;
    for (const about of plotted) {
      const chart = this.charts.get(about.key);
      if (chart) chart.about = about;
      else this.charts.set(about.key, new Chart(about, this));
      fresh ||= !chart;
    }
    if (whole) {
      const there = new Set(plotted.map((each) => each.key));
      for (const [key, chart] of this.charts) if (!there.has(key)) fresh = this.remove(key, chart);
      if (this.stream === "history") this.tools.offer(keys.filter((each) => each.kind === "number"));
    }
    if (fresh || this.size === 0) this.sections.arrange();
    if (this.full && this.charts.has(this.full.key)) this.full.about = this.charts.get(this.full.key).about;
    this.screen.update();
  }

  remove(key, chart) {
    this.sight.unobserve(chart.element);
    if (window.Plotly) chart.release(window.Plotly);
    this.charts.delete(key);
    return true;
  }

  noteSight({ target, isIntersecting }) {
    const chart = this.charts.get(target.dataset.key);
    if (!chart || chart.element !== target) return;
    chart.inSight = isIntersecting;
    if (isIntersecting) {
      this.menu.attach(chart);
      this.renew(chart);
    } else if (chart.drawn) {
      this.draw(chart);
      this.keep(chart);
    }
  }

  /** Keeps the lines of the charts that were last in sight, and forgets those of others. */
  keep(chart) {
    this.kept.delete(chart);
    this.kept.add(chart);
    if (this.kept.size <= KEPT) return;
    const [oldest] = this.kept;
    this.kept.delete(oldest);
    if (!oldest.inSight) oldest.lines.clear();
  }

  /** Draws what there is, and asks for what is missing. */
  renew(chart, first = false) {
    if (chart.missing.length) this.source.want(chart, first);
    if (chart.missing.length < this.series.length || chart.drawn) this.draw(chart);
  }

  want(chart) {
    this.source.want(chart);
  }

  /** Draws the chart, or takes it away if it is out of sight: one at a time, so that the page can be used meanwhile. */
  draw(chart) {
    if (this.dirty.size === 0) this.drawAll();
    this.dirty.add(chart);
  }

  async drawAll() {
    const Plotly = await loadPlotly().catch((error) => this.sections.say(error.message));
    if (!Plotly) return;
    while (this.dirty.size) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      const until = performance.now() + SLICE;
      for (const chart of this.dirty) {
        this.dirty.delete(chart);
        if (!chart.inSight) chart.release(Plotly);
        else if (chart.size.width) chart.draw(Plotly);
        if (performance.now() > until) break;
      }
    }
  }

  wasDrawn(chart) {
    this.emphasise(chart);
    this.cross.again();
  }

  /** Brings out the line of one series in all charts, or none. */
  highlight(id) {
    this.emphasised = this.series.findIndex((each) => each.id === id);
    for (const chart of this.inSight()) this.emphasise(chart);
  }

  emphasise(chart) {
    const chosen = this.emphasised >= 0 ? chart.drawn?.find(({ style }) => style.id === this.series[this.emphasised]?.id) : null;
    for (const trace of chart.drawn ? chart.plot.querySelectorAll(".scatterlayer .trace") : []) {
      trace.classList.toggle("behind", Boolean(chosen) && !["l", "r", "b"].some((kind) => trace.classList.contains(`trace${kind}${chosen.number}`)));
    }
  }

  zoomed(chart, range) {
    if (this.settings.linked) return this.state.set({ zoom: range ? range.join("..") : "" });
    chart.range = range;
    this.renew(chart, true);
  }

  isLogY(key) {
    return this.settings.logy !== this.settings.log.includes(key);
  }

  limitsOf(key) {
    return limitsIn(this.settings.y, key);
  }

  changed(values, changes = null) {
    const before = this.settings;
    this.settings = { ...values };
    const is = (...names) => names.some((name) => JSON.stringify(before[name]) !== JSON.stringify(values[name]));
    if (changes === null) this.tools.show(values);
    if (is("x")) for (const chart of this.all()) chart.range = null;
    if (is("find", "folded")) this.sections.arrange();
    if (is("chart")) this.screen.update();
    const redrawn = is("x", "linked", "zoom", "smooth", "by", "band", "logx", "logy", "log", "y", "outliers");
    if (redrawn) for (const chart of this.inSight()) this.renew(chart);
  }

  /** The size of every plot but the one in full screen. To ask each for its own would lay out the page each time. */
  sizeOf(chart) {
    if (!this.plotSize?.width) this.plotSize = { width: chart.plot.clientWidth, height: chart.plot.clientHeight };
    return this.plotSize;
  }

  resized(width) {
    if (width === this.width) return;
    this.width = width;
    this.plotSize = null;
    for (const chart of this.inSight()) if (chart.look && chart.look.width !== chart.size.width) this.renew(chart);
  }

  /** Why a chart or the whole board shows nothing. */
  nothing(chart = null) {
    if (chart) return this.settings.x === "_step" ? "Nothing was logged here." : "Nothing was logged together with this axis.";
    return this.size ? "No chart has such a name." : this.series.length ? this.empty : "No run is chosen.";
  }
}
