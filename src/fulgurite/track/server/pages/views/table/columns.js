// Which columns the table shows: as the address says, or the usual ones; and the form in which they are chosen.

import { fill, h } from "../../base/dom.js";
import { openAt } from "../../base/menu.js";
import { OWN, USUAL, titleOf } from "./cells.js";

const LISTED = 200; // columns that are shown at once to choose from

/** The columns in their order, the name first. Pinned ones come next. */
export function shownColumns(state, answered) {
  const { column, pin } = state.all();
  const chosen = column.length ? column : [...USUAL, ...answered];
  const all = ["name", ...chosen.filter((name) => name !== "name")];
  const isPinned = (name) => name === "name" || pin.includes(name);
  return [...all.filter(isPinned), ...all.filter((name) => !isPinned(name))];
}

/** What the server is asked for: nothing for the usual columns. */
export function askedColumns(state) {
  const { column } = state.all();
  return column.length ? ["name", ...column.filter((name) => name !== "name")] : [];
}

/** Titles by name; where two would look alike, both are told in full. */
export function titlesOf(names) {
  const counts = new Map();
  for (const name of names) counts.set(titleOf(name), (counts.get(titleOf(name)) ?? 0) + 1);
  return new Map(names.map((name) => [name, counts.get(titleOf(name)) > 1 ? name : titleOf(name)]));
}

/** Puts `name` before `other`, or `by` places further on. */
export function moved(names, name, { before = null, by = 0 }) {
  const rest = names.filter((each) => each !== name);
  const at = before === null ? names.indexOf(name) + by : rest.indexOf(before) + (names.indexOf(name) < names.indexOf(before) ? 1 : 0);
  rest.splice(Math.max(1, at), 0, name);
  return rest;
}

/** Settings that are not the same in all runs. */
export function differing(columns, total) {
  const differs = ({ kind, values, count }) => kind !== "other" && (values === null || values.length > 1 || count < total);
  return columns.filter((column) => column.name.startsWith("config.") && differs(column)).map((column) => column.name);
}

/** A form to choose columns in. `columns` is what the server tells of all; `get` and `set` have the names of the shown ones. */
export function openChooser(anchor, { columns, total, state, get, set }) {
  const all = [...Object.keys(OWN), ...columns.map((column) => column.name)];
  const counts = new Map(columns.map((column) => [column.name, column.count]));
  const search = h("input", { type: "search", placeholder: `Find among ${all.length} columns`, "aria-label": "Find columns", autofocus: true, input: () => draw() });
  const list = h("div.choices.offered", { role: "group", "aria-label": "Columns" });
  const differs = differing(columns, total);
  const toggle = (name, wanted) => {
    set(wanted ? [...get(), name] : get().filter((each) => each !== name));
    draw();
  };
  const shift = (name, by) => {
    set(moved(get(), name, { by }));
    draw();
    list.querySelector(`[data-column="${CSS.escape(name)}"] [data-by="${by}"]`)?.focus();
  };
  const pin = (name) => {
    const { pin: pinned } = state.all();
    state.set({ pin: pinned.includes(name) ? pinned.filter((each) => each !== name) : [...pinned, name] });
    draw();
  };
  const entry = (name, chosen) => {
    const box = h("input", { type: "checkbox", checked: chosen, disabled: name === "name", change: () => toggle(name, box.checked) });
    const isPinned = state.get("pin").includes(name);
    const tools = chosen && name !== "name" ? [
      h("button.plain", { type: "button", data: { by: -1 }, "aria-label": `Move ${name} to the left`, click: () => shift(name, -1) }, "↑"),
      h("button.plain", { type: "button", data: { by: 1 }, "aria-label": `Move ${name} to the right`, click: () => shift(name, 1) }, "↓"),
      h("button.plain", { type: "button", "aria-pressed": String(isPinned), "aria-label": `Keep ${name} in sight`, title: "Keep in sight", click: () => pin(name) }, isPinned ? "◆" : "◇"),
    ] : null;
    const count = counts.get(name);
    return h("div.choice", { data: { column: name } }, h("label", { title: name }, box, h("span", {}, OWN[name]?.title ?? name)), tools ?? (count === undefined ? null : h("span.quiet", { title: "runs that have it" }, count)));
  };
  const draw = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (name) => words.every((word) => `${name} ${OWN[name]?.title ?? ""}`.toLowerCase().includes(word));
    const shown = get();
    const fitting = all.filter((name) => fits(name) && !shown.includes(name));
    const mine = shown.filter(fits);
    fill(list,
      mine.length ? h("p.quiet", {}, "Shown") : null, mine.map((name) => entry(name, true)),
      fitting.length ? h("p.quiet", {}, "Not shown") : null, fitting.slice(0, LISTED).map((name) => entry(name, false)),
      fitting.length > LISTED ? h("p.quiet", {}, `… and ${fitting.length - LISTED} more: type to find them.`) : null,
      mine.length || fitting.length ? null : h("p.quiet", {}, "No column is called so."));
  };
  const showDiffering = () => {
    set([...get().filter((name) => !name.startsWith("config.")), ...differs]);
    draw();
  };
  const reset = () => {
    state.set({ column: [], pin: [] });
    draw();
  };
  draw();
  return openAt(anchor, h("div.editor.chooser", {}, search,
    h("div.buttons", {}, h("button", { type: "button", click: showDiffering }, `All settings that differ (${differs.length})`), h("button", { type: "button", click: reset }, "As usual")), list), { label: "Columns" });
}
