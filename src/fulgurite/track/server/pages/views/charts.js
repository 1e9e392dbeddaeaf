// Lines of all keys of a run. Only charts in sight are asked for and drawn; a zoom asks the server for its detail.

import { get } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { drawLine, loadPlotly, releaseLine } from "../charts/lines.js";

const AXES = ["_step", "_runtime", "_timestamp"];
const AXIS_NAMES = { _step: "step", _runtime: "seconds since the start", _timestamp: "time" };
const AT_ONCE = 40; // charts in one request

export function chartsTab(path, stream) {
  const cards = new Map();
  const grid = h("div", {});
  const filter = h("input", { type: "search", placeholder: "Filter charts", "aria-label": "Filter charts", input: () => arrange() });
  const axis = h("select", { "aria-label": "x-axis", change: () => refresh([...cards.values()]) });
  const element = h("div", {}, h("div.tools", {}, filter, stream === "history" ? h("label", {}, "x-axis ", axis) : null), grid);
  const seen = new IntersectionObserver((entries) => entries.forEach(noteSight), { rootMargin: "300px" });
  let waiting = new Set();

  const noteSight = ({ target, isIntersecting }) => {
    const card = cards.get(target.dataset.key);
    if (!card) return;
    card.inSight = isIntersecting;
    if (isIntersecting && card.stale) ask(card);
    if (!isIntersecting && card.drawn) release(card);
  };
  const release = (card) => {
    releaseLine(card.plot);
    Object.assign(card, { drawn: false, stale: true });
  };
  const ask = (card) => {
    if (waiting.size === 0) setTimeout(askAll, 30);
    waiting.add(card);
  };
  const askAll = async () => {
    const all = [...waiting];
    waiting = new Set();
    // Charts that look at the same stretch come in one answer.
    for (const group of Map.groupBy(all, (card) => JSON.stringify(card.range)).values()) {
      for (let i = 0; i < group.length; i += AT_ONCE) await fetchLines(group.slice(i, i + AT_ONCE));
    }
  };
  const fetchLines = async (group) => {
    const [low, high] = group[0].range ?? [null, null];
    const x = stream === "history" ? axis.value || "_step" : "_step";
    const buckets = 2 * Math.max(200, Math.round(group[0].plot.clientWidth));
    try {
      const [answer] = await Promise.all([get(`${path}/charts`, { key: group.map((card) => card.key), x, low, high, buckets, stream }), loadPlotly()]);
      answer.charts.forEach((line, i) => draw(group[i], line, x));
    } catch (error) {
      group.forEach((card) => fill(card.fault, error.message));
    }
  };
  const draw = (card, line, x) => {
    card.stale = false;
    fill(card.fault, line.count ? "" : `Nothing was logged together with ${AXIS_NAMES[x] ?? x}.`);
    if (!card.inSight) return void (card.stale = true);
    const isTime = stream === "system" || x === "_timestamp";
    drawLine(card.plot, line, {
      title: isTime ? "" : (AXIS_NAMES[x] ?? x),
      scale: isTime ? (stream === "system" ? 1 : 1000) : null,
      range: card.range,
      onZoom: (range) => {
        card.range = range;
        ask(card);
      },
    });
    card.drawn = true;
  };
  const refresh = (chosen) => {
    for (const card of chosen) {
      card.stale = true;
      card.range = null;
      if (card.inSight) ask(card);
    }
  };
  const arrange = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = [...cards.values()].filter((card) => words.every((word) => card.name.toLowerCase().includes(word)));
    const groups = Map.groupBy(shown, (card) => prefix(card.name));
    fill(grid, shown.length ? [...groups].map(([name, group]) => section(name, group, groups.size)) : nothing(cards.size, stream));
  };
  const offer = (keys) => {
    const numbers = keys.filter((each) => each.kind === "number");
    const known = AXES.flatMap((name) => numbers.filter((each) => each.name === name));
    const own = numbers.filter((each) => !each.name.startsWith("_"));
    const options = [...known, ...own].map((each) => [each.key, AXIS_NAMES[each.name] ?? each.name]);
    if (axis.options.length === options.length) return;
    const before = axis.value || "_step";
    fill(axis, options.map(([key, name]) => h("option", { value: key, selected: key === before }, name)));
  };
  const update = async () => {
    const { keys } = await get(`${path}/keys`, { stream });
    if (stream === "history") offer(keys);
    let fresh = false;
    for (const about of keys.filter((each) => each.kind !== "other" && !each.name.startsWith("_"))) {
      const known = cards.get(about.key);
      if (known && known.count === about.count && known.last === about.last) continue;
      if (known) {
        Object.assign(known, { count: about.count, last: about.last, stale: true });
        if (known.inSight && known.range === null) ask(known);
      } else {
        cards.set(about.key, cardOf(about));
        fresh = true;
      }
    }
    if (fresh || cards.size === 0) arrange();
    if (fresh) for (const card of cards.values()) seen.observe(card.element);
  };
  return { element, update };
}

function cardOf({ key, name, count, last }) {
  const plot = h("div.plot", {});
  const fault = h("p.quiet", {});
  const element = h("figure.card.chart", { data: { key } }, h("figcaption", { title: name }, name), plot, fault);
  return { key, name, count, last, element, plot, fault, inSight: false, drawn: false, stale: true, range: null };
}

function section(name, cards, groups) {
  const grid = h("div.charts", {}, cards.map((card) => card.element));
  return groups === 1 ? grid : h("details", { open: true }, h("summary", {}, name || "charts", h("span.quiet", {}, ` ${cards.length}`)), grid);
}

function prefix(name) {
  return name.includes("/") ? name.slice(0, name.indexOf("/")) : "";
}

function nothing(known, stream) {
  const why = known ? "No chart has such a name." : stream === "system" ? "No system metrics were recorded." : "The run has logged no numbers yet.";
  return h("p.empty", {}, why);
}
