// What is asked of a project's runs beside its charts: words, filters, an order, and what to group them by.

import { get } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { filterBar } from "../base/filters.js";

const FACTS = ["state", "group", "job_type", "sweep"];

export function runQuery(path, state) {
  const search = h("input", { type: "search", placeholder: "Search runs", "aria-label": "Search runs by name, tag or notes", input: () => state.set({ search: search.value }) });
  const filters = filterBar({
    columns: () => [...FACTS, "name", "tags", "created", "duration", ...columns.map((each) => each.name)],
    about: (name) => columns.find((each) => each.name === name) ?? (own[name] ? { kind: "text", values: own[name] } : null),
    get: () => state.get("filter"),
    set: (filter) => state.set({ filter }),
  });
  const sort = h("select", { "aria-label": "Sort by", change: () => state.set({ sort: sort.value ? [sort.value] : [] }) });
  const group = h("select", { "aria-label": "Group by", change: () => state.set({ group: group.value ? group.value.split("\n") : [], hidden: [] }) });
  const element = h("div.runquery", {}, search, filters.element, h("div.pair", {}, sort, group));
  let columns = [];
  let own = {}; // the texts that runs have in some of what every run has

  const show = () => {
    if (document.activeElement !== search) search.value = state.get("search");
    filters.draw();
    const numbers = columns.filter((each) => each.kind === "number").map((each) => each.name);
    const orders = [["", "Newest first"], ["created", "Oldest first"], ["name", "By name"], ...numbers.flatMap((name) => [[name, `↑ ${name}`], [`-${name}`, `↓ ${name}`]])];
    options(sort, orders, state.get("sort").join("\n"));
    const settings = columns.filter((each) => each.name.startsWith("config.")).map((each) => each.name);
    options(group, [["", "No groups"], ...[...FACTS, ...settings].map((name) => [name, `By ${name}`])], state.get("group").join("\n"));
  };
  const learn = async () => {
    ({ columns, own } = await get(`${path}/columns`));
    show();
  };
  // Which columns there are matters only to who is about to choose one.
  for (const place of [filters.element, sort, group]) place.addEventListener("focusin", () => learn().catch(() => {}), { once: true });
  state.on(show);
  show();
  return { element };
}

function options(select, list, chosen) {
  const all = list.some(([value]) => value === chosen) ? list : [...list, [chosen, chosen.replaceAll("\n", ", ")]];
  fill(select, all.map(([value, text]) => h("option", { value }, text)));
  select.value = chosen;
}
