// The charts of a project: its runs on the left, their lines over each other on the right.

import { fill, h } from "../base/dom.js";
import { every } from "../base/poll.js";
import { addressState } from "../base/state.js";
import { board } from "../charts/board.js";
import { dashesOf, colourOf } from "../charts/palette.js";
import { groupsOf, MOST_RUNS } from "./groups.js";
import { RUNS, runList } from "./runlist.js";

const DRAWN = 10; // runs, or groups of them, that are drawn unless others are chosen
const WIDE = matchMedia("(min-width: 760px)");

export async function show(place, { path, entity, project }) {
  const name = `project ${entity}/${project}`;
  const state = addressState(RUNS, name);
  const charts = board({ path, stream: "history", place: name, nothing: "These runs have logged no numbers yet." });
  const draw = (runs, groups) => {
    const series = state.get("group").length ? seriesOfGroups(groups, state) : seriesOfRuns(runs, state);
    list.mark(series);
    charts.show(series);
    charts.tick().catch(() => {}); // the next look tells what is wrong
  };
  const list = runList({ path, entity, project, state, draw, point: (id) => charts.highlight(id) });
  const side = h("details.runlist", { open: WIDE.matches }, h("summary", {}, "Runs ", list.count), list.element);
  fill(place, h("div.workspace", {}, side, h("div.drawn", {}, charts.element)));
  const here = () => charts.element.isConnected;
  await every(1, async () => {
    if (!here()) return;
    await list.tick();
    await charts.tick().catch((error) => {
      // A run that is drawn was deleted meanwhile.
      if (error.status !== 404) throw error;
      return list.recheck();
    });
  });
}

/** The runs that are chosen, or the first ones of the list. */
function seriesOfRuns(runs, state) {
  const chosen = state.get("runs");
  const drawn = chosen.length ? runs.filter((run) => chosen.includes(run.name)) : runs.filter((run) => !run.isExtra).slice(0, DRAWN);
  const dashes = dashesOf(drawn.map((run) => run.id));
  return drawn.map((run, i) => ({ id: run.name, runs: [run.name], title: run.display_name, colour: colourOf(run.id), dash: dashes[i], isGroup: false }));
}

/** The groups that are not hidden, the first ones of them. */
function seriesOfGroups(groups, state) {
  const shown = groups.filter((group) => !state.get("hidden").includes(group.label)).slice(0, DRAWN);
  let room = MOST_RUNS;
  return groupsOf(shown).flatMap((group) => {
    const runs = group.runs.slice(0, room);
    room -= runs.length;
    return runs.length ? [{ id: group.label, runs, title: group.label, colour: colourOf(group.number), dash: "solid", isGroup: true }] : [];
  });
}
