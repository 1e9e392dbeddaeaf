// One run: its charts, what is known of it, and what it left.

import { get, pathOf } from "../base/api.js";
import { badge } from "../base/badge.js";
import { artifactsTab } from "./runartifacts.js";
import { chartsTab } from "./charts.js";
import { consoleTab } from "./console.js";
import { fill, h } from "../base/dom.js";
import { filesTab } from "./files.js";
import { ago, duration, moment } from "../base/format.js";
import { mediaTab } from "./media.js";
import { overviewTab } from "./overview.js";
import { every } from "../base/poll.js";

// Each makes an element, and is told of the run's newer versions while it is in sight.
const TABS = {
  charts: ["Charts", (path) => chartsTab(path, "history")],
  media: ["Media", mediaTab],
  overview: ["Overview", overviewTab],
  system: ["System", (path) => chartsTab(path, "system")],
  console: ["Console", consoleTab],
  files: ["Files", filesTab],
  artifacts: ["Artifacts", artifactsTab],
};

export async function showRun(place, entity, project, name) {
  const path = pathOf(entity, project, name);
  const head = h("div.head", {});
  const bar = h("nav.tabs", { "aria-label": "Views of the run" });
  const body = h("div", {});
  const opened = {};
  let run = null;
  let version = null;

  const tab = () => (location.hash.slice(1) in TABS ? location.hash.slice(1) : "charts");
  const showTab = async () => {
    const chosen = tab();
    fill(bar, Object.entries(TABS).map(([id, [title]]) => h("a", { href: `#${id}`, "aria-current": id === chosen ? "page" : null }, title)));
    opened[chosen] ??= TABS[chosen][1](path);
    if (body.firstChild !== opened[chosen].element) fill(body, opened[chosen].element);
    await opened[chosen].update(run);
  };
  fill(place, head, bar, body);
  window.addEventListener("hashchange", showTab);
  await every(2, async () => {
    run = await get(path);
    const news = `${run.version} ${run.state}`;
    if (news === version) return;
    version = news;
    document.title = `${run.display_name} · ${project} · Fulgurite`;
    fill(head, headOf(run));
    document.getElementById("here")?.replaceChildren(run.display_name);
    await showTab();
  });
}

function headOf(run) {
  const facts = [
    `id ${run.name}`,
    `started ${ago(run.created_at)}`,
    `${run.state === "running" ? "for" : "took"} ${duration((run.ended_at ?? run.seen_at) - run.created_at)}`,
    `${run.rows} ${run.rows === 1 ? "row" : "rows"}`,
    run.group ? `group ${run.group}` : null,
    run.job_type ? `job ${run.job_type}` : null,
  ];
  return [
    h("h1", {}, run.display_name, " ", badge(run.state)),
    h("p.quiet", { title: moment(run.created_at) }, facts.filter(Boolean).join(" · ")),
    run.tags.length ? h("p.tags", {}, run.tags.map((tag) => h("span.tag", {}, tag))) : null,
    run.notes ? h("p.notes", {}, run.notes) : null,
    run.alerts.map((alert) => h("p.note", { title: moment(alert.raised_at) }, h("strong", {}, alert.title), " ", alert.text)),
  ];
}
