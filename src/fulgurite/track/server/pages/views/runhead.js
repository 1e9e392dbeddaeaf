// The head of a run's page: what it is called, what people said of it, and what can be done with it.

import { get, pageOf, pathOf, post, send } from "../base/api.js";
import { badge } from "../base/badge.js";
import { h } from "../base/dom.js";
import { editTags, editText } from "../base/edit.js";
import { ago, duration, moment } from "../base/format.js";
import { attempt, toast } from "../base/toast.js";
import { showDeleted } from "./deletedrun.js";

const ALERTS = 2;

/** `about.renew()` shows the page anew after a change. */
export function headOf(run, about) {
  const { entity, project } = about;
  const facts = [
    `id ${run.name}`,
    h("span", { title: moment(run.created_at) }, `started ${ago(run.created_at)}`),
    `${run.state === "running" ? "for" : "took"} ${duration((run.ended_at ?? run.seen_at) - run.created_at)}`,
    `${run.rows} ${run.rows === 1 ? "row" : "rows"}`,
    run.sweep ? h("a", { href: `${pageOf(entity, project)}/sweeps/${encodeURIComponent(run.sweep)}` }, `sweep ${run.sweep}`) : null,
  ].filter(Boolean);
  const alerts = run.alerts.slice(-ALERTS);
  const before = run.alerts.length - alerts.length;
  return [
    h("div.title", {}, h("h1", {}, run.display_name, " ", badge(run.state), editor(about, "Rename", "display_name", "Name", run.display_name)), actions(run, about)),
    h("p.quiet", {}, facts.flatMap((fact, i) => (i ? [" · ", fact] : [fact]))),
    h("div.said", {}, group(run, about), jobType(run, about), tags(run, about), notes(run, about)),
    alerts.map((alert) => h("p.note", { title: moment(alert.raised_at) }, h("strong", {}, alert.title), " ", h("span.alert-text", {}, alert.text))),
    before ? h("p.quiet", {}, h("a", { href: "#overview" }, `${before} more ${before === 1 ? "alert" : "alerts"}`)) : null,
  ];
}

function group(run, about) {
  const edit = editor(about, run.group ? "Edit" : "Group", "group", "Group", run.group);
  return run.group ? h("span", {}, h("span.quiet", {}, "group "), run.group, edit) : edit;
}

function jobType(run, about) {
  return run.job_type ? h("span", {}, h("span.quiet", {}, "job "), run.job_type, editor(about, "Edit", "job_type", "Job type", run.job_type)) : null;
}

function tags(run, about) {
  const change = async (add, remove) => {
    await send("PATCH", about.path, { tags: [...run.tags.filter((tag) => !remove.includes(tag)), ...add] });
    await about.renew();
  };
  const open = async (event) => {
    const anchor = event.currentTarget;
    editTags(anchor, { label: `Tags of ${run.display_name}`, tags: run.tags, known: await knownTags(about), change: (add, remove) => change(add, remove).then(() => (run = about.run)) });
  };
  const button = about.mayWrite ? h("button.quiet-button", { type: "button", click: open, "aria-label": "Edit the tags" }, run.tags.length ? "Edit" : "Tags") : null;
  return h("span.tags", {}, run.tags.map((tag) => h("span.tag", {}, tag)), button);
}

/** The tags that runs of the project have; none where that can't be found out. */
async function knownTags({ entity, project }) {
  try {
    return (await get(`${pathOf(entity, project)}/columns`)).own.tags ?? [];
  } catch {
    return [];
  }
}

function notes(run, about) {
  const edit = editor(about, run.notes ? "Edit" : "Notes", "notes", "Notes", run.notes, true);
  return run.notes ? h("div.notes", {}, run.notes, edit) : edit;
}

/** A button that opens an editor for a field; nothing for who may only read. */
function editor(about, title, field, label, value, long = false) {
  if (!about.mayWrite) return null;
  const save = async (text) => {
    await send("PATCH", about.path, { [field]: text.trim() === "" ? null : text });
    await about.renew();
  };
  return h("button.quiet-button", { type: "button", "aria-label": `Edit: ${label}`, click: (event) => editText(event.currentTarget, { label, value, long, save }) }, title);
}

function actions(run, about) {
  const { entity, project, path, mayWrite } = about;
  const compare = h("a.button", { href: `${pageOf(entity, project)}/compare?run=${encodeURIComponent(run.name)}` }, "Compare");
  if (!mayWrite) return h("div.actions", {}, compare);
  const stop = h("button", { type: "button", click: () => attempt(async () => {
    await post(`${path}/stop`, {});
    stop.disabled = true;
    toast("The run was asked to stop.");
  }) }, "Stop");
  const remove = h("button.danger", { type: "button", click: () => attempt(() => deleteRun(run, about)) }, "Delete");
  return h("div.actions", {}, compare, run.state === "running" ? stop : null, remove);
}

/** Deletes the run and shows, in its place, that it can be brought back. */
async function deleteRun(run, about) {
  const { entity, project } = about;
  about.gone = true; // the page asks for it no more
  try {
    await post(`${pathOf(entity, project)}/deleted`, { runs: [run.name] });
  } catch (error) {
    about.gone = false;
    throw error;
  }
  showDeleted(run, about);
}
