// How all charts of a board look: its state in the address, and the tools that change it.

import { fill, h } from "../base/dom.js";
import { AXES } from "./axes.js";
import { KINDS, windowOf } from "./smoothing.js";

/** The parameters of the address and their defaults. `log` and `y` are of single charts: KEY, and LOW..HIGH:KEY. */
export const BOARD = {
  find: "", x: "_step", smooth: 0, by: "ema", band: "range", logx: false, logy: false, log: [], y: [], outliers: false,
  linked: false, zoom: "", folded: [], chart: "",
};
const BANDS = { range: "lowest to highest", deviation: "standard deviation (of groups)", none: "none" };
const SOFTEST = 0.999;

/** "1..2" as two numbers, or null. */
export function rangeIn(text) {
  const ends = text.split("..").map(Number);
  return text && ends.length === 2 && ends.every(Number.isFinite) ? ends : null;
}

/** The limits of y of a chart, from the state's `y`; each is null where there is none. */
export function limitsIn(list, key) {
  const text = list.find((each) => each.slice(each.indexOf(":") + 1) === key);
  if (!text) return null;
  return text.slice(0, text.indexOf(":")).split("..").map((end) => (end === "" || !Number.isFinite(Number(end)) ? null : Number(end)));
}

export function toolbar(state, stream) {
  const set = (name, value) => state.set({ [name]: value });
  const find = h("input", { type: "search", placeholder: "Search charts", "aria-label": "Search charts, also by a regular expression", spellcheck: "false", input: () => set("find", find.value) });
  const axis = h("select", { change: () => state.set({ x: axis.value, zoom: "" }) });
  const slider = h("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": "Smoothing", input: () => set("smooth", weightOf(slider.value)) });
  const told = h("output", {});
  const kind = choice(KINDS, (value) => set("by", value));
  const bandKind = choice(BANDS, (value) => set("band", value));
  const boxes = {
    logx: ["Logarithmic x"], logy: ["Logarithmic y"], outliers: ["Ignore outliers", "The limits of y hold 90 % of the values"],
    linked: ["Zoom all charts together"],
  };
  const checks = Object.fromEntries(Object.entries(boxes).map(([name, [text, title]]) => {
    const input = h("input", { type: "checkbox", change: () => set(name, input.checked) });
    return [name, { input, label: h("label.check", { title }, input, text) }];
  }));
  const panel = h("div.popover", { id: `looks-${stream}`, popover: "auto", role: "dialog", "aria-label": "Lines and axes", toggle: () => placeBelow(panel, open) },
    h("label", {}, "Smoothing ", kind), h("label", {}, "Band ", bandKind), Object.values(checks).map(({ label }) => label));
  const open = h("button", { popovertarget: panel.id, "aria-haspopup": "dialog" }, "Lines and axes");
  const element = h("div.tools.charttools", {}, find, stream === "history" ? h("label.inline", {}, "x-axis ", axis) : null,
    h("label.inline", {}, "Smoothing ", slider, told), open, panel);
  let offered = null;

  const show = (values) => {
    if (document.activeElement !== find) find.value = values.find;
    slider.value = placeOf(values.smooth);
    fill(told, values.smooth ? (values.by === "mean" ? `${windowOf(values.smooth)} points` : values.smooth.toFixed(values.smooth > 0.98 ? 3 : 2)) : "off");
    kind.value = values.by;
    bandKind.value = values.band;
    for (const [name, { input }] of Object.entries(checks)) input.checked = values[name];
    if (axis.value !== values.x && offered) axis.value = values.x;
  };
  state.on(show);
  show(state.all());
  return {
    element,
    show,
    /** The keys that can lie along x. */
    offer(keys) {
      const own = keys.filter((each) => !each.name.startsWith("_")).map((each) => [each.key, each.name]);
      const options = [...Object.entries(AXES).filter(([key]) => key === "_step" || keys.some((each) => each.key === key)), ...own];
      const chosen = state.get("x");
      if (!options.some(([key]) => key === chosen)) options.push([chosen, AXES[chosen] ?? chosen]);
      const text = JSON.stringify(options);
      if (text === offered) return;
      offered = text;
      fill(axis, options.map(([key, name]) => h("option", { value: key }, name)));
      axis.value = chosen;
    },
  };
}

function choice(options, change) {
  const select = h("select", { change: () => change(select.value) }, Object.entries(options).map(([value, text]) => h("option", { value }, text)));
  return select;
}

/** The slider is finer towards its end, where smoothing changes quickly. */
function weightOf(place) {
  return place <= 0 ? 0 : Number(Math.min(SOFTEST, 1 - (1 - place / 100) ** 2).toFixed(3));
}

function placeOf(weight) {
  return Math.round(100 * (1 - Math.sqrt(1 - weight)));
}

/** Puts a popover below the button that opened it, within the window. */
export function placeBelow(panel, button) {
  const { left, bottom, right } = button.getBoundingClientRect();
  const width = panel.offsetWidth;
  const start = left + width > innerWidth - 8 ? right - width : left;
  panel.style.left = `${Math.max(8, Math.min(start, innerWidth - width - 8))}px`;
  panel.style.top = `${Math.max(8, Math.min(bottom + 4, innerHeight - panel.offsetHeight - 8))}px`;
}
