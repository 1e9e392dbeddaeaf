// The runs that the brushes leave, as a table.

import { pageOf } from "../../base/api.js";
import { badge } from "../../base/badge.js";
import { fill, h } from "../../base/dom.js";
import { brief } from "../../base/format.js";
import { label, risesWell } from "./frame.js";
import { brushedRuns } from "./parallel.js";

const SHOWN = 50;

export function rowsCard(context) {
  const { entity, project } = context;
  const element = h("section.card", {});
  let most = SHOWN;
  const draw = (frame) => {
    const metric = context.metric();
    const names = [...new Set([metric, ...context.axes()])].filter(Boolean);
    const columns = names.map((name) => frame.values(name));
    const chosen = brushedRuns(context, frame);
    const found = frame.runs.map((run, row) => ({ run, row })).filter(({ row }) => chosen[row]);
    const value = ({ row }) => columns[0]?.[row];
    const sign = risesWell(metric) ? -1 : 1;
    const rank = (each) => (typeof value(each) === "number" ? sign * value(each) : Infinity);
    found.sort((a, b) => rank(a) - rank(b));
    const row = ({ run, row: place }) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: pageOf(entity, project, run.name) }, run.display_name)),
      h("td", {}, badge(run.state)),
      columns.map((values) => h("td.number", { title: brief(values[place]) }, brief(values[place]))));
    const more = () => {
      most += 10 * SHOWN;
      draw(frame);
    };
    const head = h("tr", {}, h("th", { scope: "col" }, "Run"), h("th", { scope: "col" }, "State"), names.map((name) => h("th.number", { scope: "col", title: name }, label(name))));
    fill(element,
      h("h2", {}, found.length === frame.runs.length ? "Runs" : "Chosen runs", h("span.quiet", {}, ` ${found.length}${metric ? `, the ${sign < 0 ? "highest" : "lowest"} ${label(metric)} first` : ""}`)),
      found.length ? h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Runs" }, h("table.runs", {}, h("thead", {}, head), h("tbody", {}, found.slice(0, most).map(row)))) : h("p.quiet", {}, "No run is like that."),
      found.length > most ? h("button", { type: "button", click: more }, `Show more, ${most} of ${found.length}`) : null);
  };
  return { element, draw };
}
