// What the runs of a project wanted somebody to see, the newest first.

import { get, pageOf } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { ago, moment } from "../base/format.js";
import { every } from "../base/poll.js";
import { addressState } from "../base/state.js";
import { loadStyles } from "../base/styles.js";
import { markSeen, seenLast } from "../base/unseen.js";

const PAGE = 50;
const LEVELS = { "": "All levels", ERROR: "Errors", WARN: "Warnings", INFO: "Information" };

export async function show(place, { entity, project, path }) {
  const state = addressState({ level: "" }, `project ${entity}/${project}`);
  await loadStyles("alerts");
  const before = seenLast(entity, project);
  const level = h("select", { "aria-label": "Level", change: () => state.set({ level: level.value }) }, Object.entries(LEVELS).map(([value, title]) => h("option", { value, selected: value === state.get("level") }, title)));
  const count = h("span.quiet", { role: "status" });
  const list = h("div", {});
  const more = h("button", { type: "button", hidden: true, click: () => older() }, "Show older alerts");
  fill(place, h("div.tools", {}, level, count), list, more);
  let alerts = new Map();
  let shown = null;

  const draw = () => {
    const all = [...alerts.values()].sort((a, b) => b.id - a.id);
    const fresh = all.filter((each) => each.id > before).length;
    fill(count, `${all.length}${more.hidden ? "" : "+"} ${all.length === 1 ? "alert" : "alerts"}${fresh ? `, ${fresh} new` : ""}`);
    fill(list, all.length ? h("ol.alerts", {}, all.map((each) => item(each, before))) : nothing(state.get("level")));
  };
  const asked = () => ({ first: PAGE, level: state.get("level") || null });
  const older = async () => {
    const answer = await get(`${path}/alerts`, { ...asked(), before: Math.min(...alerts.keys()) });
    for (const each of answer.alerts) alerts.set(each.id, each);
    more.hidden = !answer.more;
    draw();
  };
  const renew = async () => {
    const answer = await get(`${path}/alerts`, asked());
    const news = JSON.stringify(answer.alerts);
    markSeen(entity, project, answer.last);
    if (news === shown) return;
    shown = news;
    const lowest = answer.alerts.at(-1)?.id ?? Infinity;
    alerts = new Map([...alerts].filter(([id]) => id < lowest));
    if (!alerts.size) more.hidden = !answer.more;
    for (const each of answer.alerts) alerts.set(each.id, each);
    draw();
  };
  state.on((values, changes) => {
    level.value = values.level;
    if (changes && !("level" in changes)) return;
    alerts = new Map();
    shown = null;
    renew().catch((error) => fill(list, h("p.fault", { role: "alert" }, error.message)));
  });
  await every(5, renew);
}

function item({ id, run, title, text, level, raised_at: raised }, before) {
  const origin = run ? h("a", { href: pageOf(run.entity, run.project, run.name) }, run.display_name) : null;
  return h("li.card", { data: { level, fresh: id > before ? "1" : "" } },
    h("p.line", {}, h("span.level", {}, level.toLowerCase()), h("strong", {}, title), id > before ? h("span.tag.fresh", {}, "new") : null, h("span.quiet.when", { title: moment(raised) }, ago(raised))),
    text ? h("p.notes", {}, text) : null,
    h("p.quiet", {}, "by ", origin));
}

function nothing(level) {
  const why = level ? "There is no alert of this level." : "No run has raised an alert.";
  return h("section.empty", {}, h("h2", {}, why), level ? null : [h("p", {}, "A run raises one like this:"), h("pre", {}, 'run.alert(title="Loss is rising", text="For three epochs.", level="WARN")')]);
}
