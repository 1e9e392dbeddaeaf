// A logged table: the server sorts, filters and pages; only the rows in sight are here.

import { get } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { number } from "../base/format.js";
import { fileAddress } from "../views/files.js";
import { draw } from "./draw.js";

const SIZES = [10, 25, 50, 100, 500];
const OPERATORS = ["=", "!=", "<", "<=", ">", ">=", "~", "!~"];
const LONGEST = 300; // letters of a cell; the rest is in its title

/** The table in the run's file `name`; with `about.artifact` from there, as it has the media. What was asked of it stays in `about.settings`. */
export function tableView(path, name, about = {}) {
  const asked = ((about.settings ??= {}).table ??= { from: 0, first: 10, sort: [], filter: [], search: "" });
  const head = h("tr", {});
  const body = h("tbody", {});
  const where = h("span.quiet", { role: "status" });
  const fault = h("p.fault", { role: "alert" });
  const chips = h("div.chips", {});
  const columns = h("select", { "aria-label": "Column to filter by" });
  const operators = h("select", { "aria-label": "How to compare" }, OPERATORS.map((each) => h("option", {}, each)));
  const value = h("input", { type: "text", placeholder: "value", "aria-label": "Value to compare with" });
  const search = h("input", { type: "search", placeholder: "Search the table", "aria-label": "Search the table", value: asked.search });
  const rows = h("select", { "aria-label": "Rows in a page" }, SIZES.map((size) => h("option", { value: size, selected: size === asked.first }, `${size} rows`)));
  const button = (label, title, from) => h("button", { type: "button", title, "aria-label": title, click: () => ask({ from: from() }) }, label);
  const turns = {
    first: button("⏮", "First page", () => 0),
    back: button("◀", "Page before", () => Math.max(0, asked.from - asked.first)),
    on: button("▶", "Next page", () => asked.from + asked.first),
    last: button("⏭", "Last page", () => Math.max(0, Math.floor((shown.matched - 1) / asked.first) * asked.first)),
  };
  const form = h("form.together", { submit: (event) => {
    event.preventDefault();
    if (columns.value === "") return;
    ask({ filter: [...asked.filter, `${JSON.stringify(columns.value)}${operators.value}${value.value}`], from: 0 });
    value.value = "";
  } }, columns, operators, value, h("button", { type: "submit" }, "Filter"));
  let shown = { matched: 0 };
  let turn = 0;

  const ask = async (changes) => {
    Object.assign(asked, changes);
    const mine = ++turn;
    element.setAttribute("aria-busy", "true");
    try {
      const page = await get(`${path}/tables`, { name, artifact: about.artifact ?? null, ...asked, search: asked.search || null });
      if (mine !== turn) return;
      shown = page;
      fill(fault, "");
      show(page);
    } catch (error) {
      if (mine === turn) fill(fault, error.message);
    }
    showFilters();
    element.removeAttribute("aria-busy");
  };
  const show = (page) => {
    const isNumeric = (i) => typeof page.rows.find((row) => (row[i] ?? null) !== null)?.[i] === "number";
    fill(head, h("th.number", { scope: "col" }, "#"), page.columns.map((column, i) => header(column, isNumeric(i))));
    const cells = (row, i) => h("tr", {}, h("th.number.quiet", { scope: "row" }, page.numbers[i]), row.map((cell) => cellOf(cell, path, page.artifact)));
    fill(body, page.rows.map(cells));
    if (columns.options.length !== page.columns.length) fill(columns, page.columns.map((each) => h("option", { value: each }, each)));
    const to = asked.from + page.rows.length;
    const all = page.matched === page.total ? "" : ` (${page.total.toLocaleString("en")} in all)`;
    const more = page.more_columns ? `; ${page.more_columns} more columns are not shown` : "";
    fill(where, page.matched ? `${(asked.from + 1).toLocaleString("en")}–${to.toLocaleString("en")} of ${page.matched.toLocaleString("en")}${all}${more}` : page.total ? `no row of ${page.total} is meant` : "no rows");
    turns.first.disabled = turns.back.disabled = asked.from === 0;
    turns.on.disabled = turns.last.disabled = to >= page.matched;
  };
  const header = (column, isNumeric) => {
    const place = asked.sort.findIndex((each) => each === column || each === `-${column}`);
    const falls = place >= 0 && asked.sort[place] !== column;
    const sort = (event) => {
      const kept = event.shiftKey ? asked.sort.filter((_, i) => i !== place) : [];
      ask({ sort: place < 0 ? [...kept, column] : falls ? kept : [...kept, `-${column}`], from: 0 });
    };
    const mark = place < 0 ? "" : falls ? " ▼" : " ▲";
    return h(isNumeric ? "th.number" : "th", { scope: "col", "aria-sort": place < 0 ? "none" : falls ? "descending" : "ascending" }, h("button.plain.sorter", { type: "button", title: `Sort by ${column}; with Shift beside others`, click: sort }, column + mark));
  };
  const showFilters = () => fill(chips, asked.filter.map((text, i) => h("button.pill", { type: "button", "aria-label": `Take the filter ${text} away`, click: () => ask({ filter: asked.filter.filter((_, j) => j !== i), from: 0 }) }, `${text} ✕`)));

  let timer = null;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => ask({ search: search.value, from: 0 }), 300);
  });
  rows.addEventListener("change", () => ask({ first: Number(rows.value), from: 0 }));
  const table = h("div.scroll.tall", { tabindex: 0, role: "region", "aria-label": "Logged table" }, h("table.logged", {}, h("thead", {}, head), body));
  const save = h("a", { href: fileAddress(path, name, 1) }, "Download");
  const element = h("div.table-view", {}, h("div.tools", {}, search, form), chips, fault, table, h("div.tools.pager", {}, h("span.together", {}, Object.values(turns)), where, rows, save));
  ask({});
  return element;
}

function cellOf(cell, path, place) {
  if (typeof cell === "number") return h("td.number", { title: String(cell) }, number(cell));
  if (cell?._type && (cell.path || cell.filenames)) return h("td", {}, draw(cell, { path, place, small: true, settings: {} }));
  const text = cell === null || cell === undefined ? "–" : typeof cell === "string" ? cell : JSON.stringify(cell);
  return text.length > LONGEST ? h("td", { title: text }, `${text.slice(0, LONGEST)}…`) : h("td", {}, text);
}
