// A deleted run in place of its page: it can be brought back for seven days.

import { get, pageOf, pathOf, post } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { attempt } from "../base/toast.js";

/** The run of that name that was deleted last; null if there is none. */
export async function findDeleted({ entity, project, name }) {
  const { runs } = await get(`${pathOf(entity, project)}/deleted`, { first: 5000 });
  const found = runs.filter((run) => run.name === name);
  return found.sort((a, b) => b.deleted_at - a.deleted_at)[0] ?? null;
}

/** Says that the run was deleted, and has a way back for who may change it. */
export function showDeleted(run, { entity, project, mayWrite }) {
  const restore = h("button", { type: "button", click: () => attempt(async () => {
    await post(`${pathOf(entity, project)}/restored`, { ids: [run.id] });
    location.reload();
  }) }, "Restore");
  const said = h("p", { role: "status" }, `${run.display_name} was deleted. It can be brought back for seven days.`);
  const ways = h("p.together", {}, mayWrite ? restore : null, h("a.button", { href: pageOf(entity, project) }, "All runs"));
  fill(document.getElementById("view"), h("section.empty", {}, h("h1", {}, "Deleted"), said, ways));
  restore.focus();
}
