// A project: its runs as charts, as a table and over their settings, and what belongs to no single run.

import { pageOf, pathOf } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { description } from "../base/description.js";
import { markUnseen } from "../base/unseen.js";

// Each module exports `show(place, where)`; `where` is the project's address in parts, its API path and who looks.
const TABS = {
  "": ["Charts", () => import("./workspace.js")],
  table: ["Table", () => import("./table.js")],
  hyperparameters: ["Hyperparameters", () => import("./hyperparameters.js")],
  sweeps: ["Sweeps", () => import("./sweeps.js")],
  artifacts: ["Artifacts", () => import("./artifacts.js")],
  alerts: ["Alerts", () => import("./alerts.js")],
};
// Views without a tab of their own: reached from within the others.
const FURTHER = {
  compare: () => import("./compare.js"),
  deleted: () => import("./deleted.js"),
};

export async function showProject(place, { kind = "", ...where }) {
  const { entity, project } = where;
  const known = kind === "runs" ? "table" : kind;
  const load = TABS[known]?.[1] ?? FURTHER[known];
  const loading = (load ?? TABS[""][1])();
  const body = h("div", {});
  const note = load ? null : h("p.note", {}, `There is no view ${kind}. These are the charts of the project's runs.`);
  fill(place, h("h1", {}, project), description(pathOf(entity, project), where.mayWrite), tabs(entity, project, known), note, body);
  place.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  const { show } = await loading;
  await show(body, { ...where, kind: known, path: pathOf(entity, project) });
}

/** What is filtered, sorted and chosen goes along from tab to tab. */
function tabs(entity, project, chosen) {
  const base = pageOf(entity, project);
  const carry = (event) => {
    const link = event.currentTarget;
    link.href = link.dataset.to + location.search;
  };
  const link = ([kind, [title]]) => {
    const to = kind ? `${base}/${kind}` : base;
    return h("a", { href: to, data: { to }, click: carry, auxclick: carry, "aria-current": kind === chosen ? "page" : null }, title);
  };
  const links = Object.entries(TABS).map(link);
  markUnseen(links[Object.keys(TABS).indexOf("alerts")], entity, project);
  return h("nav.tabs", { "aria-label": "Views of the project" }, links);
}
