// The table of a project's runs: found, filtered, sorted, grouped, and changed in place.

import { address, get, pageOf } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { filterBar, typedFilter, unknownColumns, writeFilter } from "../base/filters.js";
import { openMenu } from "../base/menu.js";
import { every } from "../base/poll.js";
import { addressState } from "../base/state.js";
import { attempt } from "../base/toast.js";
import { EDITABLE, MOST_DRAWN, actionsOf } from "./table/actions.js";
import { OWN, bestOf, columnOf } from "./table/cells.js";
import { askedColumns, moved, openChooser, shownColumns, titlesOf } from "./table/columns.js";
import { Grid } from "./table/grid.js";
import { keyOf, layoutOf } from "./table/layout.js";
import { Rows, pageOfPlace } from "./table/rows.js";
import { Selection } from "./table/selection.js";

const TYPING = 200; // milliseconds without a key after which a search is asked
const DEFAULTS = { search: "", filter: [], sort: [], group: [], column: [], pin: [], closed: [], runs: [] };

export async function show(place, where) {
  const { entity, project, path, mayWrite } = where;
  const state = addressState(DEFAULTS, `project ${entity}/${project}`);
  const rows = new Rows(path, () => drawAll());
  // What is chosen here is what the charts draw, as long as it fits into an address.
  const selection = new Selection(state.get("runs"), () => {
    state.set({ runs: selection.names.size > MOST_DRAWN ? [] : [...selection.names] });
  });
  const renew = async () => {
    await rows.renew(grid.places());
    if (rows.version !== known.version) learn().catch(() => {});
  };
  // What the server tells of all columns. It comes after the first rows, which don't wait for it.
  let known = { columns: [], own: {}, version: null };
  let about = new Map();
  let best = new Map();
  const learn = async () => {
    const news = await get(`${path}/columns`);
    if (news.version === known.version) return;
    known = news;
    about = new Map(news.columns.map((column) => [column.name, column]));
    best = new Map(news.columns.map((column) => [column.name, bestOf(column)]));
    columnsChanged();
  };

  let columns = [];
  let layout = layoutOf(0, [], () => false);
  const drawName = (cell, name, column, row) =>
    fill(cell, h("a", { href: pageOf(entity, project, row.run.name), title: name, tabindex: -1 }, name), h("button.more", { type: "button", tabindex: -1, "aria-label": `What to do with ${name}`, data: { act: "menu" } }, "⋯"));
  const withEditor = (column) => {
    if (column.name === "name") return { ...column, draw: drawName };
    if (!mayWrite || !EDITABLE.includes(column.name)) return column;
    const draw = (cell, value, ...rest) => {
      column.draw ? column.draw(cell, value, ...rest) : fill(cell, h("span", { title: value }, value));
      cell.append(h("button.more", { type: "button", tabindex: -1, "aria-label": `Edit ${column.title}`, data: { act: "edit" } }, "✎"));
    };
    return { ...column, draw };
  };
  const arrange = () => {
    const names = shownColumns(state, rows.columns);
    const titles = titlesOf(names);
    const pinned = new Set(["name", ...(innerWidth > 700 ? state.get("pin") : [])]);
    columns = names.map((name) => ({ ...withEditor(columnOf(name, rows.columns.indexOf(name), about.get(name), titles.get(name))), pinned: pinned.has(name) }));
    if (innerWidth <= 700) columns[0].width = 150;
  };
  let drawnColumns = "";
  const columnsChanged = () => {
    arrange();
    grid.restart(state.get("sort"));
    drawnColumns = String(rows.columns);
  };

  const grid = new Grid(
    {
      layout: () => layout,
      row: (at) => rows.at(at),
      columns: () => columns,
      isChosen: (name) => selection.has(name),
      chosen: () => selection.names.size,
      matched: () => rows.matched,
      best: (name) => best.get(name) ?? null,
      isClosed: (key) => state.get("closed").includes(key),
    },
    {
      sight: (places) => rows.want(places),
      open: (run, beside) => (beside ? open(pageOf(entity, project, run.name)) : location.assign(pageOf(entity, project, run.name))),
      choose: (run, at, range) => attempt(() => selection.toggle(run.name, at, range, actions.between)),
      all: (wanted) => (wanted ? actions.chooseAll() : selection.set([])),
      fold: (group) => fold([keyOf(group)]),
      menu: (run, anchor) => actions.menu(run, anchor),
      edit: (column, run, anchor) => actions.edit(column, run, anchor),
      head: (name, anchor) => columnMenu(name, anchor),
      sort: (name, further) => sort(name, further),
      move: (name, before) => setColumns(moved(shown(), name, { before })),
    },
  );
  const actions = actionsOf(where, { selection, rows, own: () => known.own, renew });

  const shown = () => shownColumns(state, rows.columns);
  const setColumns = (names) => state.set({ column: names });
  const sort = (name, further) => {
    const sorts = state.get("sort");
    const now = sorts.find((each) => each.replace(/^-/, "") === name);
    const next = now === undefined ? name : now === name ? `-${name}` : null;
    const others = further ? sorts.filter((each) => each !== now) : [];
    if (further && now !== undefined && next) return state.set({ sort: sorts.map((each) => (each === now ? next : each)) });
    state.set({ sort: next ? [...others, next] : others });
  };
  const fold = (keys) => {
    const closed = state.get("closed");
    state.set({ closed: keys.every((key) => closed.includes(key)) ? closed.filter((key) => !keys.includes(key)) : [...new Set([...closed, ...keys])] });
  };
  const columnMenu = (name, anchor) => {
    const { sort: sorts, group, pin } = state.all();
    const isPinned = pin.includes(name);
    const toggled = (list) => (list.includes(name) ? list.filter((each) => each !== name) : [...list, name]);
    const own = name === "name" ? [] : [
      null,
      { title: isPinned ? "Let it scroll" : "Keep in sight", act: () => state.set({ pin: toggled(pin) }) },
      { title: "Move left", act: () => setColumns(moved(shown(), name, { by: -1 })) },
      { title: "Move right", act: () => setColumns(moved(shown(), name, { by: 1 })) },
      { title: "Hide", act: () => setColumns(shown().filter((each) => each !== name)) },
    ];
    openMenu(anchor, `Column ${name}`, [
      { title: "Sort, lowest first", checked: sorts.includes(name), act: () => state.set({ sort: sorts.includes(name) ? [] : [name] }) },
      { title: "Sort, highest first", checked: sorts.includes(`-${name}`), act: () => state.set({ sort: sorts.includes(`-${name}`) ? [] : [`-${name}`] }) },
      { title: "Group by it", checked: group.includes(name), act: () => state.set({ group: toggled(group), closed: [] }) },
      { title: "Filter by it …", act: () => filters.add({ column: name, operator: "=", value: "" }) },
      ...own,
    ]);
  };

  const describe = (name) => {
    const told = about.get(name);
    if (told) return told;
    const texts = known.own[name];
    return texts ? { kind: "text", values: texts } : OWN[name] ? { kind: OWN[name].numeric || name === "created" ? "number" : "text", values: null } : null;
  };
  const names = () => [...Object.keys(OWN), ...known.columns.map((column) => column.name)];
  const filters = filterBar({ columns: names, about: describe, get: () => state.get("filter"), set: (texts) => state.set({ filter: texts }) });
  const search = searchField(state, names);
  const grouping = groupField(state, names, () => layout, () => rows.groups, fold);
  const chooser = h("button", { type: "button", "aria-haspopup": "dialog", click: () => openChooser(chooser, { columns: known.columns, total: rows.total, state, get: shown, set: setColumns }) }, "Columns");
  const more = h("button", { type: "button", "aria-haspopup": "menu", "aria-label": "More", click: () => moreMenu() }, "⋯");
  const moreMenu = () => {
    const query = { ...rows.query, column: null };
    openMenu(more, "More", [
      { title: "Download as CSV, all columns", href: address(`${path}/table.csv`, query), download: "" },
      { title: "Download as CSV, columns shown", href: address(`${path}/table.csv`, { ...query, column: shown() }), download: "" },
      { title: "Deleted runs", href: `${pageOf(entity, project)}/deleted` },
    ]);
  };
  const count = h("span.quiet.count", { role: "status" });
  const note = h("div", {});
  fill(place, h("div.tools.table-tools", {}, search, filters.element, h("span.right", {}, count, grouping.element, chooser, more)), actions.bar, note, grid.element);

  const drawAll = () => {
    layout = layoutOf(rows.matched, rows.groups, (key) => state.get("closed").includes(key));
    const { matched, total, running } = rows;
    fill(count, `${matched === total ? "" : `${matched} of `}${total} ${total === 1 ? "run" : "runs"}${running ? `, ${running} running` : ""}`);
    grid.element.hidden = matched === 0 || refused !== null;
    fill(note, refused ? notUnderstood(state, refused) : matched || rows.version < 0 ? null : total ? nothingFound(state, known.version === null ? null : names()) : nothing(entity, project));
    if (refused) return;
    if (drawnColumns !== String(rows.columns)) columnsChanged();
    else grid.draw();
    actions.drawBar();
    grouping.draw();
  };
  const query = () => {
    const { search: words, filter, sort: sorts, group } = state.all();
    return { search: words || null, filter, sort: sorts, group, column: askedColumns(state) };
  };
  let refused = null; // why the server does not understand what is asked
  const ask = async (page = 0) => {
    refused = null;
    try {
      await rows.choose(query(), page);
    } catch (error) {
      if (error.status !== 400) throw error;
      refused = error.message;
      drawAll();
    }
  };
  let asked = JSON.stringify(query());
  state.on((values, changes = values) => {
    filters.draw();
    if (document.activeElement !== search) search.value = values.search;
    const rowsChange = ["search", "filter", "sort", "group"].some((name) => name in changes);
    if (asked !== JSON.stringify(query())) {
      asked = JSON.stringify(query());
      if (rowsChange) grid.element.scrollTop = 0;
      attempt(() => ask(rowsChange ? 0 : pageOfPlace(grid.places()[0] ?? 0)));
    }
    columnsChanged();
    drawAll();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea, select, [popover]")) return;
    event.preventDefault();
    search.focus();
  });
  const fit = () => grid.element.style.setProperty("--above", `${Math.round(grid.element.getBoundingClientRect().top + scrollY)}px`);
  addEventListener("resize", () => {
    columnsChanged();
    fit();
  });
  new ResizeObserver(fit).observe(place);
  rows.query = query();
  await every(2.5, async () => {
    if (refused !== null) return;
    if (rows.version < 0) await ask();
    else await renew();
    if (known.version === null) learn().catch(() => {});
  });
}

/** Finds as one types. What is a filter becomes one with Enter. */
function searchField(state, names) {
  let timer = null;
  const ask = () => state.set({ search: field.value.trim() });
  const typed = () => {
    clearTimeout(timer);
    if (!/^\s*(config|summary)\./.test(field.value) && !typedFilter(field.value, names())) timer = setTimeout(ask, TYPING);
  };
  const key = (event) => {
    if (event.key === "Escape" && field.value) {
      field.value = "";
      ask();
    }
    if (event.key !== "Enter") return;
    clearTimeout(timer);
    const wanted = typedFilter(field.value, names());
    if (!wanted) return ask();
    const filter = [...state.get("filter"), writeFilter(wanted)];
    field.value = "";
    state.set({ filter, search: "" });
  };
  const field = h("input", { type: "search", value: state.get("search"), placeholder: "Search, or lr>0.01", title: "Words in names, tags, notes and groups. Press / to get here.", "aria-label": "Search runs", autocomplete: "off", input: typed, keydown: key });
  return field;
}

/** Says by what the rows are grouped, and lets it be changed. */
function groupField(state, names, layout, groups, fold) {
  const element = h("span.grouping", {});
  const choose = (event) => {
    const name = event.currentTarget.value;
    if (name) state.set({ group: [...state.get("group"), name], closed: [] });
  };
  let drawn = null;
  const draw = () => {
    const group = state.get("group");
    const news = JSON.stringify([group, names().length]);
    if (news === drawn) return;
    drawn = news;
    const known = names().filter((name) => !group.includes(name) && !["name", "id", "created", "duration", "notes", "rows"].includes(name));
    const plain = known.filter((name) => !name.includes("."));
    const settings = known.filter((name) => name.startsWith("config."));
    const options = (list) => list.slice(0, 500).map((name) => h("option", { value: name }, name));
    fill(element,
      group.map((name) => h("span.chip", {}, h("span", {}, h("span.quiet", {}, "by "), name.replace(/^config\./, "")), h("button", { type: "button", "aria-label": `Don't group by ${name}`, click: () => state.set({ group: group.filter((each) => each !== name), closed: [] }) }, "×"))),
      group.length ? h("button.quiet-button", { type: "button", click: () => fold(groups().map(keyOf)) }, "Fold") : null,
      h("select", { "aria-label": "Group by", change: choose }, h("option", { value: "" }, group.length ? "and by …" : "Group by …"), options(plain), settings.length ? h("optgroup", { label: "settings" }, options(settings)) : null));
  };
  return { element, draw };
}

function notUnderstood(state, why) {
  const clear = () => state.set({ search: "", filter: [], sort: [], group: [], column: [] });
  return h("section.empty", { role: "alert" }, h("h2", {}, "This can't be shown"), h("p", {}, why), h("button", { type: "button", click: clear }, "Show all runs"));
}

function nothingFound(state, names) {
  const unknown = names === null ? [] : unknownColumns([...state.get("filter"), state.get("search")], names);
  const hint = unknown.length ? h("p", {}, `No run has ${[...new Set(unknown)].join(" or ")}. Settings are config.NAME, results summary.NAME; "Columns" lists all.`) : null;
  const clear = () => state.set({ search: "", filter: [] });
  return h("section.empty", {}, h("h2", {}, "No run is like that"), h("p", {}, "Nothing fits the search and the filters."), hint, h("button", { type: "button", click: clear }, "Show all runs"));
}

function nothing(entity, project) {
  return h("section.empty", {}, h("h2", {}, "This project has no runs"), h("p", {}, "A run is seen here as soon as it starts. ", h("a", { href: `${pageOf(entity, project)}/deleted` }, "Deleted runs"), " can be restored for seven days."));
}
