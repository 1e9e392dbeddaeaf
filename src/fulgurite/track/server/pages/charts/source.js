// Asks the server for lines: those that are wanted together come together, in parts that can be drawn meanwhile.

import { get } from "../base/api.js";

const AT_ONCE = 48; // lines in one answer: few enough that the first of them are soon on the screen
const MOST = 1000; // what the server allows
const PARALLEL = 2;

/** `path` is the project's. `take(chart)` is called when a chart has new lines, `fail(chart, error)` when not. */
export function source(path, stream, take, fail) {
  const wanted = new Set();
  let busy = 0;

  const pump = () => {
    while (busy < PARALLEL) {
      const part = next(wanted);
      if (part === null) return;
      busy++;
      ask(part).finally(() => {
        busy--;
        pump();
      });
    }
  };
  const ask = async ({ charts, series, view }) => {
    charts.forEach((chart) => chart.asked++);
    try {
      const answer = await get(`${path}/charts`, { ...members(series), key: charts.map((chart) => chart.key), ...view, stream });
      charts.forEach((chart, i) => {
        chart.take(view, series.map((each, j) => [each.id, answer.charts[i * series.length + j]]));
        take(chart);
      });
    } catch (error) {
      charts.forEach((chart) => fail(chart, error));
    } finally {
      charts.forEach((chart) => chart.asked--);
    }
  };
  return {
    /** Asks for what the chart lacks, unless it goes out of sight before. `first`: before all others. */
    want(chart, first = false) {
      const others = first ? [...wanted] : [];
      if (first) wanted.clear();
      wanted.add(chart);
      others.forEach((other) => wanted.add(other));
      // What is wanted in the same moment goes together.
      setTimeout(pump, 0);
    },
    /** What these runs have logged, or some of it. */
    keys: (runs, keys) => get(`${path}/keys`, { run: runs, key: keys, stream }),
    /** What these runs have logged behind these steps: the lines of each key, run by run. */
    news: async (runs, after, keys, buckets) => (await get(`${path}/charts`, { run: runs, after, key: keys, buckets, stream })).charts,
  };
}

/** The next request: the charts that want the same as the first one that is in sight. */
function next(wanted) {
  let part = null;
  for (const chart of wanted) {
    const series = chart.inSight ? chart.missing : [];
    if (series.length === 0) {
      wanted.delete(chart);
      continue;
    }
    const view = chart.view;
    const same = JSON.stringify([view, series.map((each) => each.id)]);
    if (part === null) {
      const lines = series.reduce((sum, each) => sum + each.runs.length, 0);
      part = { charts: [], series, view, same, room: Math.max(1, Math.min(Math.floor(AT_ONCE / lines), Math.floor(MOST / lines))) };
    }
    if (part.same !== same) continue;
    part.charts.push(chart);
    wanted.delete(chart);
    if (part.charts.length === part.room) break;
  }
  return part;
}

/** The runs of the series; where a series is a group, with its id for each of its runs. */
function members(series) {
  const run = series.flatMap((each) => each.runs);
  return series.some((each) => each.isGroup) ? { run, group: series.flatMap((each) => each.runs.map(() => each.id)) } : { run };
}
