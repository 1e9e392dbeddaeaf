// What can be done with a run: compare it, ask it to stop, delete it and bring it back.

import { pageOf, post } from "../base/api.js";
import { fill, h } from "../base/dom.js";

export function runActions(run, about) {
  const { entity, project, path, mayWrite } = about;
  const compare = h("a.button", { href: `${pageOf(entity, project)}/compare?run=${encodeURIComponent(run.name)}` }, "Compare");
  if (!mayWrite) return h("div.actions", {}, compare);
  const note = h("span.quiet", { role: "status" });
  const attempt = (work) => async (event) => {
    event.currentTarget.disabled = true;
    try {
      await work();
    } catch (error) {
      fill(note, error.message);
    }
  };
  const stop = h("button", { type: "button", click: attempt(async () => {
    await post(`${path}/stop`, {});
    fill(note, "The run was asked to stop.");
  }) }, "Stop");
  const remove = h("button.danger", { type: "button", click: attempt(() => deleteRun(run, about)) }, "Delete");
  return h("div.actions", {}, note, compare, run.state === "running" ? stop : null, remove);
}

/** Deletes the run and shows, in its place, that it can be brought back. */
async function deleteRun(run, about) {
  const { entity, project } = about;
  about.gone = true; // the page asks for it no more
  const { ids } = await post(pathTo(entity, project, "deleted"), { runs: [run.name] }).catch((error) => {
    about.gone = false;
    throw error;
  });
  const undo = async () => {
    await post(pathTo(entity, project, "restored"), { ids });
    location.reload();
  };
  const view = document.getElementById("view");
  const said = h("p", { role: "status" }, `${run.display_name} was deleted. It can be brought back for seven days.`);
  fill(view, h("section.empty", {}, h("h1", {}, "Deleted"), said, h("p", {}, h("button", { type: "button", click: undo }, "Undo"), " ", h("a.button", { href: pageOf(entity, project) }, "All runs"))));
  view.querySelector("button").focus();
}

function pathTo(entity, project, what) {
  return `/projects/${encodeURIComponent(entity)}/${encodeURIComponent(project)}/${what}`;
}
