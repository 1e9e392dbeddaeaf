// What is asked of a project's runs beside its charts: words, filters, an order, and what to group them by.

import { get } from "../base/api.js";
import { fill, h } from "../base/dom.js";

const FACTS = ["state", "group", "job_type", "sweep"];

export function runQuery(path, state) {
  const search = h("input", { type: "search", placeholder: "Search runs", "aria-label": "Search runs by name, tag or notes", input: () => state.set({ search: search.value }) });
  const chips = h("div.tags", {});
  const names = h("datalist", { id: "filter-columns" });
  const filter = h("input", { list: names.id, placeholder: "Filter: config.lr>0.01", "aria-label": "Add a filter, such as config.lr>0.01", spellcheck: "false" });
  const add = (event) => {
    event.preventDefault();
    const text = filter.value.trim();
    if (text && !state.get("filter").includes(text)) state.set({ filter: [...state.get("filter"), text] });
    filter.value = "";
  };
  const sort = h("select", { "aria-label": "Sort by", change: () => state.set({ sort: sort.value ? [sort.value] : [] }) });
  const group = h("select", { "aria-label": "Group by", change: () => state.set({ group: group.value ? group.value.split("\n") : [], hidden: [] }) });
  const element = h("div.runquery", {}, search, h("form", { submit: add }, filter, names), chips, h("div.pair", {}, sort, group));
  let columns = [];

  const chip = (text) => {
    const drop = () => state.set({ filter: state.get("filter").filter((each) => each !== text) });
    return h("span.tag", {}, text, h("button.plain.small", { click: drop, "aria-label": `Remove the filter ${text}` }, "×"));
  };
  const show = () => {
    if (document.activeElement !== search) search.value = state.get("search");
    fill(chips, state.get("filter").map(chip));
    const numbers = columns.filter((each) => each.kind === "number").map((each) => each.name);
    const orders = [["", "Newest first"], ["created", "Oldest first"], ["name", "By name"], ...numbers.flatMap((name) => [[name, `↑ ${name}`], [`-${name}`, `↓ ${name}`]])];
    options(sort, orders, state.get("sort").join("\n"));
    const settings = columns.filter((each) => each.name.startsWith("config.")).map((each) => each.name);
    options(group, [["", "No groups"], ...[...FACTS, ...settings].map((name) => [name, `By ${name}`])], state.get("group").join("\n"));
  };
  const learn = async () => {
    columns = (await get(`${path}/columns`)).columns;
    fill(names, columns.map((each) => h("option", { value: each.name })));
    show();
  };
  // Which columns there are matters only to who is about to choose one.
  for (const field of [filter, sort, group]) field.addEventListener("focus", () => learn().catch(() => {}), { once: true });
  state.on(show);
  show();
  return { element };
}

function options(select, list, chosen) {
  const all = list.some(([value]) => value === chosen) ? list : [...list, [chosen, chosen.replaceAll("\n", ", ")]];
  fill(select, all.map(([value, text]) => h("option", { value }, text)));
  select.value = chosen;
}
