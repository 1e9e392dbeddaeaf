// Histograms over the steps: one map of colours for each key, drawn while it is in sight; the one at a step beside it.

import { get } from "../base/api.js";
import { loadPlotly, themeColours } from "../charts/plotly.js";
import { fill, h } from "../base/dom.js";
import { number } from "../base/format.js";
import { gathered, sight } from "../base/sight.js";

const AT_ONCE = 20;
const STEPS = 120;
const BINS = 48;

export function histogramsTab(path, { state }) {
  const cards = new Map();
  const search = h("input", { type: "search", placeholder: "Filter histograms", "aria-label": "Filter histograms", value: state.get("histograms") });
  const log = h("input", { type: "checkbox" });
  const grid = h("div", {});
  const bar = h("div.tools", {}, search, h("label", {}, log, " Colours by logarithm"));
  const element = h("div", {}, bar, grid);

  const seen = sight((place, isInSight) => {
    const card = cards.get(place.dataset.key);
    if (!card) return;
    card.inSight = isInSight;
    if (isInSight && card.stale) ask(card);
    if (!isInSight && card.drawn) release(card);
  });
  const ask = gathered(async (waiting) => {
    for (let i = 0; i < waiting.length; i += AT_ONCE) {
      const some = waiting.slice(i, i + AT_ONCE).filter((card) => card.inSight);
      if (!some.length) continue;
      try {
        const [{ histograms }] = await Promise.all([get(`${path}/histograms`, { key: some.map((card) => card.key), steps: STEPS, bins: BINS }), loadPlotly()]);
        for (const [j, found] of histograms.entries()) {
          show(some[j], found);
          await new Promise(requestAnimationFrame); // between two drawings the page may scroll
        }
      } catch (error) {
        some.forEach((card) => fill(card.note, error.message));
      }
    }
  });
  const show = (card, found) => {
    Object.assign(card, { found, stale: false });
    const { steps, count, unreadable } = found;
    const left = unreadable ? `, ${unreadable} unreadable` : "";
    fill(card.note, steps.length < count - unreadable ? `${steps.length} of ${count} steps${left}` : `${count} ${count === 1 ? "step" : "steps"}${left}`);
    if (!card.inSight) return void (card.stale = true);
    card.slider.max = Math.max(steps.length - 1, 0);
    card.slider.value = card.step === null ? steps.length - 1 : Math.max(steps.findLastIndex((step) => step <= card.step), 0);
    drawMap(card, log.checked, (place) => {
      card.slider.value = place;
      card.step = found.steps[place];
      drawOne(card);
    });
    drawOne(card);
    card.drawn = true;
  };
  const release = (card) => {
    window.Plotly?.purge(card.plot);
    card.plot.classList.remove("js-plotly-plot"); // Plotly leaves it, and it says that it draws here
    fill(card.plot);
    Object.assign(card, { drawn: false, stale: true });
  };
  const arrange = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = [...cards.values()].filter((card) => words.every((word) => card.name.toLowerCase().includes(word)));
    const groups = Map.groupBy(shown, (card) => (card.name.includes("/") ? card.name.split("/")[0] : ""));
    bar.hidden = cards.size === 0;
    const section = ([name, group]) => {
      const inner = h("div.charts", {}, group.map((card) => card.element));
      return groups.size === 1 ? inner : h("details", { open: true }, h("summary", {}, name || "histograms", h("span.quiet", {}, ` ${group.length}`)), inner);
    };
    fill(grid, shown.length ? [...groups].map(section) : h("p.empty", {}, cards.size ? "No histogram has such a name." : 'The run has logged no histograms. wandb.watch(model, log="all") and wandb.Histogram log some.'));
  };
  const update = async () => {
    const { keys } = await get(`${path}/media`);
    let fresh = cards.size === 0;
    for (const about of keys.filter((each) => each.type === "histogram")) {
      const known = cards.get(about.key);
      if (known && known.count === about.count) continue;
      if (known) {
        Object.assign(known, { count: about.count, stale: true });
        if (known.inSight) ask(known);
      } else {
        cards.set(about.key, cardOf(about));
        fresh = true;
      }
    }
    if (!fresh) return;
    arrange();
    for (const card of cards.values()) seen.watch(card.element);
  };
  search.addEventListener("input", () => {
    state.set({ histograms: search.value });
    arrange();
  });
  log.addEventListener("change", () => [...cards.values()].filter((card) => card.drawn).forEach((card) => show(card, card.found)));
  return { element, update };
}

function cardOf({ key, name, count }) {
  const plot = h("div.plot", {});
  const one = h("div.one", {});
  const note = h("span.quiet", {});
  const slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": `Step of ${name}` });
  const at = h("output.quiet", {});
  const element = h("figure.card.chart.histogram-card", { data: { key } }, h("figcaption", { title: name }, name, " ", note), plot, h("div.together", {}, slider, at), one);
  const card = { key, name, count, element, plot, one, note, slider, at, step: null, inSight: false, drawn: false, stale: true, found: null };
  slider.addEventListener("input", () => {
    card.step = card.found?.steps[Number(slider.value)] ?? null;
    drawOne(card);
  });
  return card;
}

/** Steps to the right, values upwards, and how many there are as colour. */
function drawMap(card, byLogarithm, chosen) {
  const { steps, edges, counts } = card.found;
  if (!steps.length) return;
  const colours = themeColours();
  const middles = edges.slice(1).map((edge, i) => (edge + edges[i]) / 2);
  const z = middles.map((_, bin) => counts.map((row) => (byLogarithm ? Math.log10(1 + row[bin]) : row[bin])));
  const trace = {
    type: "heatmap", x: steps, y: middles, z, customdata: middles.map((_, bin) => counts.map((row) => row[bin])), showscale: false,
    colorscale: [[0, colours.card], [0.02, mixed(colours.card, colours.accent, 0.2)], [1, colours.accent]], hovertemplate: "step %{x}<br>value %{y:.4g}<br>count %{customdata:.4g}<extra></extra>",
  };
  const axis = { color: colours.text, gridcolor: colours.grid, zeroline: false, automargin: true, fixedrange: true };
  const layout = { height: 180, margin: { l: 48, r: 8, t: 4, b: 28 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: colours.text, size: 11, family: "inherit" }, xaxis: axis, yaxis: { ...axis, exponentformat: "power" }, dragmode: false };
  const first = !card.plot.classList.contains("js-plotly-plot");
  window.Plotly.react(card.plot, [trace], layout, { displayModeBar: false, responsive: true });
  if (first) card.plot.on("plotly_click", ({ points }) => chosen(card.found.steps.indexOf(points[0].x)));
}

/** The histogram at the step of the slider, as bars. */
function drawOne(card) {
  const { steps, edges, counts } = card.found;
  const place = Number(card.slider.value);
  const row = counts[place];
  if (!row) return fill(card.one);
  fill(card.at, `step ${steps[place]}`);
  card.slider.setAttribute("aria-valuetext", `step ${steps[place]}`);
  const most = Math.max(...row, 1e-9);
  const width = 240 / row.length;
  const bars = row.map((count, i) => {
    const height = (60 * count) / most;
    return svg("rect", { x: i * width, y: 60 - height, width: Math.max(width - 0.5, 0.5), height }, svg("title", {}, `${number(edges[i])} to ${number(edges[i + 1])}: ${number(count)}`));
  });
  const drawing = svg("svg", { viewBox: "0 0 240 60", preserveAspectRatio: "none", class: "histogram", role: "img", "aria-label": `Histogram of ${card.name} at step ${steps[place]}: from ${number(edges[0])} to ${number(edges.at(-1))}` }, ...bars);
  fill(card.one, drawing, h("p.ends.quiet", {}, h("span", {}, number(edges[0])), h("span", {}, number(edges.at(-1)))));
}

function mixed(one, other, share) {
  const parts = [one, other].map((colour) => (colour.length === 4 ? [...colour.slice(1)].map((digit) => parseInt(digit + digit, 16)) : colour.slice(1).match(/../g).map((pair) => parseInt(pair, 16))));
  return `rgb(${parts[0].map((part, i) => Math.round(part + (parts[1][i] - part) * share)).join(",")})`;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
