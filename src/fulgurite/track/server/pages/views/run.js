// One run: its charts, what is known of it, and what it left.

import { get, pathOf } from "../base/api.js";
import { artifactsTab } from "./runartifacts.js";
import { chartsTab } from "./charts.js";
import { codeTab } from "./code.js";
import { consoleTab } from "./console.js";
import { findDeleted, showDeleted } from "./deletedrun.js";
import { fill, h } from "../base/dom.js";
import { filesTab } from "./files.js";
import { histogramsTab } from "./histograms.js";
import { mediaTab } from "./media.js";
import { overviewTab } from "./overview.js";
import { every } from "../base/poll.js";
import { headOf } from "./runhead.js";
import { addressState } from "../base/state.js";
import { loadStyles } from "../base/styles.js";

// Each makes an element, and is told of the run's newer versions while it is in sight; `tick` is called at each look.
const TABS = {
  charts: ["Charts", (path) => chartsTab(path, "history")],
  overview: ["Overview", overviewTab],
  media: ["Media", mediaTab],
  histograms: ["Histograms", histogramsTab],
  system: ["System", (path) => chartsTab(path, "system")],
  console: ["Console", consoleTab],
  files: ["Files", filesTab],
  artifacts: ["Artifacts", artifactsTab],
  code: ["Code", codeTab],
};
// What the tabs keep in the address.
const STATE = {
  known: "", console: "", line: 0, follow: true, times: false, case: false, regex: false, file: "", code: "", media: "", step: "", histograms: "", at: "",
};

export async function showRun(place, entity, project, name, where = {}) {
  await loadStyles("run");
  const path = pathOf(entity, project, name);
  const state = addressState(STATE, `run ${entity}/${project}/${name}`);
  const head = h("div.head", {});
  const bar = h("nav.tabs", { "aria-label": "Views of the run" });
  const body = h("div", {});
  const opened = {};
  const about = { ...where, entity, project, name, path, state };
  let run = null;
  let version = null;

  const tab = () => (location.hash.slice(1) in TABS ? location.hash.slice(1) : "charts");
  const showTab = async () => {
    const chosen = tab();
    fill(bar, Object.entries(TABS).map(([id, [title]]) => h("a", { href: `#${id}`, "aria-current": id === chosen ? "page" : null }, title)));
    opened[chosen] ??= TABS[chosen][1](path, about);
    if (body.firstChild !== opened[chosen].element) fill(body, opened[chosen].element);
    await opened[chosen].update(run);
  };
  /** What has the focus in it keeps it: the time that a run takes changes all the while. */
  const showHead = () => {
    const fresh = h("div", {}, headOf(run, about));
    if (head.textContent !== fresh.textContent) {
      const before = head.contains(document.activeElement) ? document.activeElement : null;
      fill(head, ...fresh.childNodes);
      if (before) [...head.querySelectorAll("button, a")].find((each) => each.isEqualNode(before))?.focus({ preventScroll: true });
    }
    document.getElementById("here")?.replaceChildren(run.display_name);
  };
  fill(place, head, bar, body);
  window.addEventListener("hashchange", showTab);
  about.renew = async () => {
    if (about.gone) return; // it was deleted from here
    run = about.run = await get(path);
    const news = `${run.version} ${run.state}`;
    if (news === version) return void (await opened[tab()]?.tick?.());
    version = news;
    document.title = `${run.display_name} · ${project} · Fulgurite`;
    showHead();
    await showTab();
  };
  try {
    await every(2, about.renew);
  } catch (error) {
    const deleted = error.status === 404 ? await findDeleted(about).catch(() => null) : null;
    if (deleted === null) throw error;
    showDeleted(deleted, about);
  }
}
