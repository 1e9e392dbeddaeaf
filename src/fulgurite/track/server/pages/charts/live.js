// Keeps the charts of runs that go on up to date: asks what has changed, and then only for what is new.

const MANY = 200; // keys
const SELDOM = 3000; // milliseconds
const WHOLE_AGAIN = 60; // looks after which a line is asked for as a whole

/** `board` has series, charts in sight, and a source. Each `tick` is one look at the server. */
export function follower(board, source) {
  let versions = new Map();
  let known = ""; // the runs whose keys are all known
  let ticks = 0;

  /** The runs that have changed since the last look. */
  const changed = (runs) => {
    const fresh = runs.filter(({ run, version, state }) => versions.get(run) !== `${version} ${state}`).map(({ run }) => run);
    versions = new Map(runs.map(({ run, version, state }) => [run, `${version} ${state}`]));
    return new Set(fresh);
  };
  return {
    async tick() {
      const runs = board.series.flatMap((each) => each.runs);
      if (runs.length === 0) return void board.takeKeys([], true);
      const sight = board.inSight();
      const asked = runs.join("\n");
      // With many keys a look at all of them each time would be too much.
      const whole = known !== asked || board.size < MANY || ticks++ % 10 === 0;
      const answer = await source.keys(runs, whole ? [] : sight.map((chart) => chart.key));
      if (asked !== board.series.flatMap((each) => each.runs).join("\n")) return;
      const first = known !== asked;
      known = asked;
      const before = new Map(sight.map((chart) => [chart, chart.about.count]));
      board.takeKeys(answer.keys, whole);
      const fresh = changed(answer.runs);
      if (!first && fresh.size) await update(board, source, fresh, before);
      for (const chart of sight) {
        refresh(board, chart);
        // What could not be had when it was asked for is asked for again.
        if (chart.missing.length && !chart.asked) board.want(chart);
      }
    },
  };
}

async function update(board, source, fresh, before) {
  const series = board.series.filter((each) => each.runs.some((run) => fresh.has(run)));
  for (const chart of board.all()) if (!before.has(chart)) series.forEach((each) => chart.lines.delete(each.id));
  const grown = [...before.keys()].filter((chart) => chart.about.count !== before.get(chart));
  const followed = grown.filter((chart) => mayGrow(chart, series));
  for (const chart of grown) if (!followed.includes(chart)) renew(board, chart, series);
  if (followed.length) await append(board, source, followed, series);
}

/** Whether lines grow at their end: over steps, each run by itself, and with the end in sight. */
function mayGrow(chart, series) {
  return chart.view.x === "_step" && chart.inRange === null && series.every((each) => !each.isGroup && chart.lines.has(each.id)) && chart.missing.length === 0;
}

/** Asks for whole lines again, which is dear: of a chart only so often, so that the last change waits for the next time. */
function renew(board, chart, series) {
  // What is zoomed to is past; what comes now does not lie there.
  if (chart.inRange !== null) return;
  chart.old = new Set([...(chart.old ?? []), ...series.map((each) => each.id)]);
  refresh(board, chart);
}

function refresh(board, chart) {
  if (!chart.old || performance.now() - (chart.renewed ?? -SELDOM) < SELDOM) return;
  chart.old.forEach((id) => chart.lines.delete(id));
  Object.assign(chart, { old: null, renewed: performance.now() });
  board.want(chart);
}

async function append(board, source, charts, series) {
  const { buckets } = charts[0].view;
  const after = series.map((each) => Math.min(...charts.map((chart) => chart.lines.get(each.id).x.at(-1) ?? -(2 ** 53))));
  const found = await source.news(series.map((each) => each.id), after, charts.map((chart) => chart.key), buckets);
  charts.forEach((chart, i) => {
    const lines = series.map((each) => chart.lines.get(each.id));
    const news = series.map((_, j) => found[i * series.length + j]);
    // So much is new that the server should gather it.
    const much = news.some((each, j) => each.low || !lines[j] || lines[j].x.length + each.x.length > 3 * buckets);
    const added = much ? 0 : lines.reduce((sum, line, j) => sum + extend(line, news[j]), 0);
    // A value that came between others, as when a run is sent once more, is seen when the whole is asked for again.
    chart.appended = (chart.appended ?? 0) + 1;
    if (added && chart.appended < WHOLE_AGAIN) return board.draw(chart);
    chart.appended = 0;
    renew(board, chart, series);
  });
}

/** Puts the points behind the end of the line there, and tells how many these are. */
export function extend(line, news) {
  const end = line.x.at(-1) ?? -Infinity;
  const from = news.x.findIndex((x) => x > end);
  if (from < 0) return 0;
  const [x, last] = [news.x.slice(from), news.last.slice(from)];
  line.x = line.x.concat(x);
  line.last = line.last.concat(last);
  if (line.low) {
    line.low = line.low.concat(last);
    line.high = line.high.concat(last);
  }
  return x.length;
}
