// Two or more runs side by side: settings, results, circumstances and code; only what differs, unless all is asked for.

import { get, pageOf } from "../base/api.js";
import { badge } from "../base/badge.js";
import { fill, h } from "../base/dom.js";
import { ago, brief, duration, leaves } from "../base/format.js";
import { addressState } from "../base/state.js";
import { loadStyles } from "../base/styles.js";
import { codeDifference } from "./codediff.js";
import { circumstances, withoutOwn } from "./overview.js";

const MOST = 12; // runs
const MOST_ROWS = 1500;
const LONGEST = 500;
const OWN = {
  state: (run) => run.state,
  created: (run) => ago(run.created_at),
  duration: (run) => duration((run.ended_at ?? run.seen_at) - run.created_at),
  rows: (run) => run.rows,
  group: (run) => run.group,
  "job type": (run) => run.job_type,
  tags: (run) => run.tags.join(", ") || null,
  notes: (run) => run.notes,
};
const PASSING = ["writerId", "startedAt", "disk", "memory"]; // they differ always and say little

export async function show(place, { entity, project, path }) {
  await loadStyles("run");
  const state = addressState({ run: [], all: false, known: "", files: "", split: innerWidth > 800 }, `compare ${entity}/${project}`);
  const runs = [];
  const missing = [];
  for (const found of await Promise.allSettled(state.get("run").slice(0, MOST).map((name) => get(`${path}/runs/${encodeURIComponent(name)}`)))) {
    if (found.status === "fulfilled") runs.push(found.value);
    else missing.push(found.reason.message);
  }
  const pick = await picker(path, state);
  const notes = [...missing, state.get("run").length > MOST ? `Only the first ${MOST} runs are shown.` : null].filter(Boolean).map((text) => h("p.note", {}, text));
  if (runs.length < 2) return fill(place, h("h2", {}, "Compare runs"), notes, pick, h("p.empty", {}, runs.length ? "Choose another run to compare this one with." : "Choose two or more runs to compare."));

  const all = h("input", { type: "checkbox", checked: state.get("all") });
  const search = h("input", { type: "search", placeholder: "Search names and values", "aria-label": "Search names and values", value: state.get("known") });
  const tables = h("div", {});
  const draw = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const part = (title, values) => table(title, runs, values, all.checked, words, { entity, project });
    fill(tables,
      part("Run", runs.map((run) => Object.fromEntries(Object.entries(OWN).map(([name, read]) => [name, read(run)])))),
      part("Configuration", runs.map((run) => withoutOwn(run.config))),
      part("Summary", runs.map((run) => withoutOwn(run.summary))),
      part("Program and machine", runs.map((run) => Object.fromEntries(Object.entries(circumstances(run.facts)).filter(([name]) => !PASSING.includes(name))))));
  };
  all.addEventListener("change", () => {
    state.set({ all: all.checked });
    draw();
  });
  search.addEventListener("input", () => {
    state.set({ known: search.value });
    draw();
  });
  draw();
  const code = h("section.apart", {});
  fill(place, h("h2", {}, `Compare ${runs.length} runs`), notes, pick, h("div.tools", {}, search, h("label", {}, all, " Also what is the same"), h("a", { href: chartsOf(entity, project, runs) }, "Their charts")), tables, code);
  await codeDifference(code, path, runs, state);
}

/** The charts in which these runs lie over each other; nothing else is filtered or grouped there. */
function chartsOf(entity, project, runs) {
  const query = new URLSearchParams(runs.map((run) => ["runs", run.name]));
  return `${pageOf(entity, project)}?${query}`;
}

/** Chooses runs by name; each change is a new address. */
async function picker(path, state) {
  const { runs } = await get(`${path}/runs`, { first: 500 });
  const chosen = state.get("run");
  const go = (names) => {
    state.set({ run: names, files: "" });
    location.reload();
  };
  const named = new Map(runs.map((run) => [run.name, run.display_name]));
  const chips = chosen.map((name) => h("button.pill", { type: "button", title: `Take ${name} away`, "aria-label": `Take ${named.get(name) ?? name} away`, click: () => go(chosen.filter((each) => each !== name)) }, `${named.get(name) ?? name} ✕`));
  const others = runs.filter((run) => !chosen.includes(run.name));
  const select = h("select", { "aria-label": "Add a run", change: () => go([...chosen, select.value]) }, h("option", { value: "" }, "Add a run …"), others.map((run) => h("option", { value: run.name }, `${run.display_name} (${run.name}, ${ago(run.created_at)})`)));
  return h("div.tools.chips", {}, chips, chosen.length < MOST && others.length ? select : null);
}

/** A row for each name, a column for each run. A value that is unlike the first run's is marked. */
function table(title, runs, values, all, words, { entity, project }) {
  const found = values.map((each) => new Map(leaves(each).map(([name, value]) => [name, value?._type ?? value])));
  const names = [...new Set(found.flatMap((each) => [...each.keys()]))].sort();
  const key = (each, name) => JSON.stringify(each.get(name) ?? null);
  const lines = names.map((name) => ({ name, differs: new Set(found.map((each) => key(each, name))).size > 1 }));
  const different = lines.filter((line) => line.differs).length;
  const wanted = lines.filter((line) => (all || line.differs) && words.every((word) => `${line.name} ${found.map((each) => brief(each.get(line.name))).join(" ")}`.toLowerCase().includes(word)));
  const head = h("tr", {}, h("th", { scope: "col" }, title), runs.map((run) => h("th", { scope: "col" }, h("a", { href: pageOf(entity, project, run.name) }, run.display_name), " ", badge(run.state))));
  const cell = (each, line) => {
    const text = brief(each.get(line.name));
    const odd = line.differs && key(each, line.name) !== key(found[0], line.name);
    return h(odd ? "td.odd" : "td", { title: odd ? "unlike the first run" : null }, text.length > LONGEST ? `${text.slice(0, LONGEST)} …` : text);
  };
  const rows = wanted.slice(0, MOST_ROWS).map((line) => h(line.differs ? "tr.differs" : "tr", {}, h("th", { scope: "row" }, line.name), found.map((each) => cell(each, line))));
  const count = `${different} of ${lines.length} differ`;
  const none = h("p.quiet", {}, lines.length === 0 ? "Nothing was said." : words.length ? "Nothing has such a name or value." : "All the same.");
  return h("details.card.known", { open: true }, h("summary", {}, h("h2", {}, title), h("span.quiet", {}, count)),
    wanted.length ? h("div.scroll", { tabindex: 0, role: "region", "aria-label": title }, h("table.compared", {}, h("thead", {}, head), h("tbody", {}, rows))) : none,
    wanted.length > MOST_ROWS ? h("p.quiet", {}, `The first ${MOST_ROWS} of ${wanted.length}. Search for the others.`) : null);
}
