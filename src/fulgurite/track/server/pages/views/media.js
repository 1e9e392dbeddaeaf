// What a run logged that is no line, at one step for all: a slider goes through the steps, only what is in sight is loaded.

import { get } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { gathered, sight } from "../base/sight.js";
import { draw } from "../media/draw.js";
import { release } from "../media/space.js";

const WIDE = ["table-file", "html-file", "plotly-file", "images/separated", "joined-table", "partitioned-table", "object3D", "molecule"];
const NOT_HERE = ["histogram"]; // they have a tab of their own
const AT_ONCE = 50;
const MOST_STEP_KEYS = 200;
const BETWEEN = "_wandb_delimeter_"; // between a key and a set of masks or boxes, as the client writes it

export function mediaTab(path, { state }) {
  const cards = new Map();
  const search = h("input", { type: "search", placeholder: "Filter media", "aria-label": "Filter media", value: state.get("media") });
  const slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Step" });
  const label = h("output", {});
  const before = h("button", { type: "button", title: "Step before (←)", "aria-label": "Step before", click: () => move(-1) }, "◀");
  const after = h("button", { type: "button", title: "Next step (→)", "aria-label": "Next step", click: () => move(1) }, "▶");
  const bar = h("div.tools.steps", {}, search, h("span.together.grow", {}, before, slider, after, label));
  const grid = h("div", {});
  const element = h("div", {}, bar, grid);
  let steps = [];
  let facts = {};

  const isNewest = () => steps.length === 0 || Number(slider.value) >= steps.length - 1;
  const chosen = () => (isNewest() ? null : steps[Number(slider.value)]);
  const seen = sight((place, isInSight) => {
    const card = cards.get(place.dataset.key);
    if (!card) return;
    card.inSight = isInSight;
    if (isInSight && card.stale) ask(card);
    if (!isInSight) leave(card);
  });
  const ask = gathered(async (waiting) => {
    const step = chosen();
    for (let i = 0; i < waiting.length; i += AT_ONCE) {
      const some = waiting.slice(i, i + AT_ONCE).filter((card) => card.inSight);
      if (!some.length) continue;
      try {
        const { values } = await get(`${path}/moment`, { key: some.map((card) => card.key), step });
        if (step !== chosen()) return;
        values.forEach((each, j) => take(some[j], each));
      } catch (error) {
        some.forEach((card) => fill(card.place, h("p.fault", {}, error.message)));
      }
    }
  });
  const take = (card, { step, value }) => {
    card.stale = false;
    const news = JSON.stringify([step, value]);
    if (card.news === news) return; // a sound that plays and a table that was turned stay as they are
    card.news = news;
    release(card.place);
    const labels = (kind, set) => facts[kind === "mask" ? "mask/class_labels" : "bounding_box/class_labels"]?.[`${card.name}${BETWEEN}${set}`]?.value;
    fill(card.step, step === null ? "nothing yet" : `step ${step}`);
    fill(card.place, step === null ? h("p.quiet", {}, "Nothing was logged until this step.") : draw(value, { path, labels, name: card.name, settings: card.settings }));
  };
  const leave = (card) => {
    if (!release(card.place)) return;
    fill(card.place);
    Object.assign(card, { news: null, stale: true });
  };
  const move = (by) => {
    slider.value = Number(slider.value) + by;
    moved();
  };
  const moved = () => {
    tell();
    state.set({ step: isNewest() ? "" : String(steps[Number(slider.value)]) });
    for (const card of cards.values()) {
      card.stale = true;
      if (card.inSight) ask(card);
    }
  };
  const tell = () => {
    const step = steps[Number(slider.value)];
    fill(label, steps.length ? `step ${step}${isNewest() ? " (newest)" : ""}` : "");
    slider.setAttribute("aria-valuetext", steps.length ? `step ${step}` : "no steps");
    slider.disabled = steps.length < 2;
    before.disabled = Number(slider.value) <= 0;
    after.disabled = isNewest();
  };
  const arrange = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = [...cards.values()].filter((card) => words.every((word) => card.name.toLowerCase().includes(word)));
    const groups = Map.groupBy(shown, (card) => (card.name.includes("/") ? card.name.split("/")[0] : ""));
    bar.hidden = cards.size === 0;
    fill(grid, shown.length ? [...groups].map(([name, group]) => section(name, group, groups.size)) : h("p.empty", {}, cards.size ? "Nothing has such a name." : "The run has logged no media."));
  };
  const update = async (run) => {
    facts = run?.facts?._wandb ?? {};
    const { keys } = await get(`${path}/media`);
    let fresh = cards.size === 0;
    let changed = false;
    for (const about of keys.filter((each) => !NOT_HERE.includes(each.type))) {
      const known = cards.get(about.key);
      if (known && known.count === about.count && known.last === about.last) continue;
      changed = true;
      if (known) Object.assign(known, { count: about.count, last: about.last, stale: true });
      else cards.set(about.key, cardOf(about));
      fresh ||= !known;
    }
    if (changed) await findSteps();
    if (fresh) {
      arrange();
      for (const card of cards.values()) seen.watch(card.element);
    }
    if (changed && isNewest()) for (const card of cards.values()) if (card.stale && card.inSight) ask(card);
  };
  const findSteps = async () => {
    const wanted = state.get("step");
    const stays = steps.length && !isNewest() ? steps[Number(slider.value)] : wanted === "" || steps.length ? null : Number(wanted);
    ({ steps } = await get(`${path}/media/steps`, { key: [...cards.keys()].slice(0, MOST_STEP_KEYS) }));
    slider.max = Math.max(steps.length - 1, 0);
    const place = stays === null ? steps.length - 1 : steps.findLastIndex((step) => step <= stays);
    slider.value = Math.max(place, 0);
    tell();
  };
  slider.addEventListener("input", moved);
  search.addEventListener("input", () => {
    state.set({ media: search.value });
    arrange();
  });
  element.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, textarea, [role=region], .js-plotly-plot") || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") move(-1);
    if (event.key === "ArrowRight") move(1);
  });
  return { element, update };
}

function cardOf({ key, name, type, count, last }) {
  const place = h("div.shown", {});
  const step = h("span.quiet", {});
  const element = h("figure.card.medium", { data: { key, wide: WIDE.includes(type) ? "yes" : "no" }, tabindex: -1 }, h("figcaption", {}, h("strong", { title: name }, name), step), place);
  return { key, name, count, last, element, place, step, settings: {}, inSight: false, stale: true, news: null };
}

function section(name, cards, groups) {
  const grid = h("div.media-grid", {}, cards.map((card) => card.element));
  return groups === 1 ? grid : h("details", { open: true }, h("summary", {}, name || "media", h("span.quiet", {}, ` ${cards.length}`)), grid);
}
