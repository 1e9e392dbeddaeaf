// What was deleted from a project in the last days, and the way back.

import { get, pageOf, post } from "../base/api.js";
import { badge } from "../base/badge.js";
import { fill, h } from "../base/dom.js";
import { ago, moment } from "../base/format.js";
import { every } from "../base/poll.js";
import { attempt, toast } from "../base/toast.js";

const FIRST = 200;
const MOST = 5000;
const KEPT = 7 * 86400; // seconds after which a deleted run may be gone for good

export async function show(place, { entity, project, path, mayWrite }) {
  const body = h("div", {});
  let [drawn, first] = [null, FIRST];
  const back = h("a", { href: `${pageOf(entity, project)}/table` }, "All runs");
  fill(place, h("p.quiet", {}, "Deleted runs can be restored for seven days. ", back), body);

  const restore = async (runs) => {
    const good = await attempt(async () => {
      await post(`${path}/restored`, { ids: runs.map((run) => run.id) });
      toast(runs.length === 1 ? `${runs[0].display_name} is back.` : `${runs.length} runs are back.`);
    });
    if (good) await renew();
  };
  const row = (run) => h("tr", {},
    h("th", { scope: "row", title: run.name }, run.display_name),
    h("td", {}, badge(run.state)),
    h("td", { title: moment(run.created_at) }, ago(run.created_at)),
    h("td", { title: moment(run.deleted_at) }, ago(run.deleted_at)),
    h("td", {}, left(run.deleted_at)),
    mayWrite ? h("td", {}, h("button", { type: "button", "aria-label": `Restore ${run.display_name}`, click: () => restore([run]) }, "Restore")) : null);
  const renew = async () => {
    const { runs } = await get(`${path}/deleted`, { first });
    const news = JSON.stringify(runs.map((run) => [run.id, run.version]));
    if (news === drawn) return;
    drawn = news;
    runs.sort((a, b) => b.deleted_at - a.deleted_at);
    const heads = ["Name", "State", "Created", "Deleted", "Kept for", ...(mayWrite ? [""] : [])];
    const all = mayWrite && runs.length > 1 ? h("button", { type: "button", click: () => restore(runs) }, `Restore all ${runs.length}`) : null;
    const older = runs.length === first && first < MOST ? h("button", { type: "button", click: () => ((first = MOST), attempt(renew)) }, "Show more") : null;
    fill(body, runs.length
      ? [h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Deleted runs" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((name) => h("th", { scope: "col" }, name || h("span.unseen", {}, "Restore"))))), h("tbody", {}, runs.map(row)))), h("div.buttons", {}, all, older)]
      : h("section.empty", {}, h("h2", {}, "Nothing was deleted"), h("p", {}, "Runs that are deleted from the table are kept here for seven days.")));
  };
  await every(5, renew);
}

function left(deleted) {
  const seconds = Math.max(0, deleted + KEPT - Date.now() / 1000);
  return seconds > 2 * 86400 ? `${Math.floor(seconds / 86400)} days` : `${Math.ceil(seconds / 3600)} h`;
}
