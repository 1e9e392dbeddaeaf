// The lines of one run: a tab of its page.

import { board } from "../charts/board.js";
import { every } from "../base/poll.js";

const NOTHING = { history: "The run has logged no numbers yet.", system: "No system metrics were recorded." };

/** `path` is the run's; `stream` is "history", or "system" for the series of the machine. */
export function chartsTab(path, stream) {
  const [, project, name] = /^(.*)\/runs\/(.*)$/.exec(path);
  const run = decodeURIComponent(name);
  const charts = board({ path: project, stream, place: `run charts ${project}`, nothing: NOTHING[stream] });
  charts.show([{ id: run, runs: [run], title: "value", colour: "var(--accent)", dash: "solid", isGroup: false }]);
  let started = null;
  // It looks by itself, and more often than the page: a new point is to be seen at once.
  const update = () => (started ??= every(1, async () => charts.element.isConnected && charts.tick()));
  return { element: charts.element, update };
}
