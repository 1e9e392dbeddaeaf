// One chart: a card with a heading and a plot, which is there only while it is in sight, and the lines it has.

import { fill, h } from "../base/dom.js";
import { axisOf } from "./axes.js";
import { figure } from "./figure.js";

const FEW = 3; // lines
const CONFIG = { displayModeBar: false, responsive: false, doubleClick: "autosize", showAxisDragHandles: false };

export class Chart {
  /** `about` is a key as the server tells it; `board` holds what all charts share. */
  constructor(about, board) {
    const { key, name } = about;
    Object.assign(this, { about, key, name, board });
    this.plot = h("div.plot", {});
    this.element = h("figure.card.chart", { data: { key } }, h("figcaption", {}, h("span.name", { title: name }, name)), h("div.place", {}, this.plot));
    this.lines = new Map(); // by the id of the series
    this.of = ""; // what the lines are of: axis, range and size
    this.range = null; // what was zoomed to, unless all charts are zoomed together
    this.inSight = false;
    this.asked = 0; // requests that are under way
    this.drawn = null; // what the crosshair reads; null where nothing is drawn
  }

  /** What this chart wants to be told: charts that want the same are told together. */
  get view() {
    const { settings } = this.board;
    const [low, high] = this.inRange ?? [null, null];
    const x = this.board.stream === "system" ? "_step" : settings.x;
    // Where many lines lie over each other, a point for each second pixel is enough: the band holds the rest.
    const dense = this.board.series.length > FEW ? 0.5 : 1;
    return { x, low, high, buckets: 50 * Math.max(3, Math.ceil((dense * this.size.width) / 50)) };
  }

  get size() {
    return this.isFull ? { width: this.plot.clientWidth, height: this.plot.clientHeight } : this.board.sizeOf(this);
  }

  get inRange() {
    return this.board.settings.linked ? this.board.zoom : this.range;
  }

  /** The series whose lines are not there yet. */
  get missing() {
    const known = this.of === JSON.stringify(this.view);
    return this.board.series.filter((each) => !known || !this.lines.has(each.id));
  }

  /** Takes lines that were asked for as `view`; those of another one came too late. */
  take(view, found) {
    const of = JSON.stringify(view);
    if (of !== JSON.stringify(this.view)) return;
    if (of !== this.of) this.lines.clear();
    this.of = of;
    for (const [id, line] of found) this.lines.set(id, line);
  }

  /** The lines that are to be drawn, in the order of the series. */
  shown() {
    return this.board.series.filter((each) => this.lines.get(each.id)?.x.length).map((style) => ({ style, line: this.lines.get(style.id) }));
  }

  draw(Plotly) {
    const { board } = this;
    const lines = this.shown();
    this.say(lines.length || this.missing.length ? "" : board.nothing(this));
    const { traces, layout, drawn } = figure(lines, board.settings, this.lookNow(lines));
    const first = !this.plot.classList.contains("js-plotly-plot");
    Plotly.react(this.plot, traces, layout, CONFIG);
    this.drawn = drawn;
    if (first) this.listen();
    board.wasDrawn(this);
  }

  lookNow(lines) {
    const { board, key } = this;
    const longest = Math.max(0, ...lines.map(({ line }) => line.x.at(-1)));
    this.look = {
      ...axisOf(this.view.x, board.stream, longest), ...this.size,
      range: this.inRange, logY: board.isLogY(key), limits: board.limitsOf(key),
    };
    return this.look;
  }

  listen() {
    this.plot.on("plotly_relayout", (change) => {
      if (change["xaxis.autorange"]) return this.board.zoomed(this, null);
      const range = change["xaxis.range"] ?? [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (range[0] === undefined) return;
      const { isTime, scale } = this.look;
      const log = this.board.settings.logx && !isTime;
      this.board.zoomed(this, range.map((value) => (isTime ? new Date(value).getTime() : log ? 10 ** value : Number(value)) / scale));
    });
    this.board.cross.watch(this);
  }

  /** Takes the drawing away; the lines stay. */
  release(Plotly) {
    if (this.drawn === null) return;
    Plotly.purge(this.plot);
    this.cross?.remove();
    this.cross = null;
    this.drawn = null;
  }

  /** What is to be said instead of lines. */
  say(text) {
    if (!text && !this.note) return;
    this.note ??= this.plot.parentElement.appendChild(h("p.quiet.fallback", {}));
    fill(this.note, text);
    this.note.hidden = !text;
  }
}
