// What is known of a run beside its series: summary, configuration, and where it ran.

import { fill, h } from "../base/dom.js";
import { brief, leaves } from "../base/format.js";

export function overviewTab() {
  const element = h("div.columns", {});
  return { element, update: (run) => fill(element, sheet("Summary", run.summary), sheet("Configuration", run.config), sheet("Circumstances", circumstances(run.facts))) };
}

/** The wandb client keeps what it found out apart, for each process that wrote the run; the last one's counts. */
function circumstances({ _wandb: own, ...facts }) {
  return { ...Object.values(own?.e ?? {}).at(-1), ...facts };
}

function sheet(title, values) {
  const rows = leaves(values).filter(([name]) => !name.startsWith("_"));
  const table = h("table.sheet", {}, h("tbody", {}, rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, brief(value))))));
  return h("section.card", {}, h("h2", {}, title), rows.length ? table : h("p.quiet", {}, "Nothing was said."));
}
