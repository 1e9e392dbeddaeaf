// All projects of the store: found and sorted.

import { get, pageOf } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { ago, moment } from "../base/format.js";
import { every } from "../base/poll.js";
import { addressState } from "../base/state.js";

const KEY = "local-" + "0".repeat(40);
const COLUMNS = {
  name: ["Project", (project) => `${project.entity}/${project.name}`.toLowerCase(), 1],
  runs: ["Runs", (project) => project.runs, -1],
  running: ["Running", (project) => project.running, -1],
  active: ["Last active", (project) => project.seen_at ?? project.created_at, -1],
  created: ["Created", (project) => project.created_at, -1],
};

export async function showProjects(place) {
  const state = addressState({ search: "", sort: "active" }, "projects");
  const search = h("input", { type: "search", value: state.get("search"), placeholder: "Search projects", "aria-label": "Search projects", input: () => state.set({ search: search.value }) });
  const body = h("div", {});
  const tools = h("div.tools", { hidden: true }, search);
  fill(place, h("h1", {}, "Projects"), tools, body);
  let projects = [];
  let drawn = null;

  const draw = () => {
    const { search: words, sort } = state.all();
    const news = JSON.stringify([projects, words, sort, Math.floor(Date.now() / 60000)]);
    if (news === drawn) return;
    drawn = news;
    tools.hidden = projects.length === 0;
    if (!projects.length) return fill(body, nothing());
    const found = sorted(projects.filter((project) => fits(project, words)), sort);
    fill(body, found.length ? tableOf(found, state) : h("p.empty", {}, "No project is called so."));
  };
  state.on(draw);
  await every(5, async () => {
    ({ projects } = await get("/projects"));
    draw();
  });
}

function fits({ entity, name, description }, words) {
  const text = `${entity}/${name} ${description ?? ""}`.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function sorted(projects, sort) {
  const name = sort.replace(/^-/, "");
  const [, value, direction] = COLUMNS[name] ?? COLUMNS.active;
  const sign = sort.startsWith("-") ? -direction : direction;
  return projects.toSorted((a, b) => sign * (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0));
}

function tableOf(projects, state) {
  const now = state.get("sort");
  const head = ([id, [title, , direction]]) => {
    const chosen = now.replace(/^-/, "") === id;
    const falls = chosen && (direction < 0) !== now.startsWith("-");
    const click = () => state.set({ sort: now === id ? `-${id}` : id });
    return h(["runs", "running"].includes(id) ? "th.number" : "th", { scope: "col", "aria-sort": chosen ? (falls ? "descending" : "ascending") : null }, h("button.heading", { type: "button", click }, title, chosen ? h("span", { "aria-hidden": "true" }, falls ? " ↓" : " ↑") : null));
  };
  const [first, ...others] = Object.entries(COLUMNS).map(head);
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Projects" }, h("table.projects-table", {},
    h("thead", {}, h("tr", {}, first, h("th", { scope: "col" }, "About"), others)),
    h("tbody", {}, projects.map(row))));
}

function row({ entity, name, description, runs, running, seen_at: seen, created_at: created }) {
  return h("tr", {},
    h("th", { scope: "row" }, h("a", { href: pageOf(entity, name) }, name), entity === "local" ? null : h("span.quiet", {}, ` ${entity}`)),
    h("td.about", { title: description }, description ?? ""),
    h("td.number", {}, runs),
    h("td.number", {}, running ? h("span.state", { data: { state: "running" } }, running) : ""),
    h("td", { title: seen ? moment(seen) : null }, seen ? ago(seen) : "–"),
    h("td", { title: moment(created) }, ago(created)));
}

function nothing() {
  const lines = `export WANDB_BASE_URL=${location.origin}\nexport WANDB_API_KEY=${KEY}`;
  return h("section.empty", {},
    h("h2", {}, "There is no run yet"),
    h("p", {}, "A run of Fulgurite's Trainer is seen here as soon as it starts. The wandb client logs here with these two lines:"),
    h("pre", {}, lines),
  );
}
