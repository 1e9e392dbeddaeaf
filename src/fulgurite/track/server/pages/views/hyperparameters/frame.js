// The chosen runs with the values of some columns, asked for as a whole and renewed when something has changed.

import { get } from "../../base/api.js";

const MOST = 2000;
const BETTER_HIGH = /acc|score|reward|auc|f1|precision|recall|bleu/i;
const NOT_FINITE = ["NaN", "Infinity", "-Infinity"];

export class Frame {
  constructor(path) {
    Object.assign(this, { path, runs: [], columns: new Map(), matched: 0, total: 0, version: -1, query: null, asked: 0 });
  }

  /** Takes in what a query finds. Returns whether anything is new. With `renew` it first asks whether there is. */
  async ask(query, { renew = false } = {}) {
    const text = JSON.stringify(query);
    if (renew && text === this.query) {
      const news = await get(`${this.path}/table`, { ...query, first: MOST, since: this.version });
      if (!news.runs.length && news.matched === this.matched && news.total === this.total) return false;
    } else if (!renew && text === this.query) return true;
    const number = ++this.asked;
    const answer = await get(`${this.path}/table`, { ...query, first: MOST });
    if (number !== this.asked) return false; // a later question was asked meanwhile
    const byId = new Map(answer.runs.map((run) => [run.id, run]));
    this.runs = answer.order.map((id) => byId.get(id)).filter(Boolean);
    const values = this.runs.map((run) => answer.values[run.id]);
    this.columns = new Map(answer.columns.map((name, i) => [name, values.map((row) => plainValue(row[i]))]));
    Object.assign(this, { matched: answer.matched, total: answer.total, version: answer.version, query: text });
    return true;
  }

  /** The values of a column, one a run; null where there is none. */
  values(name) {
    return this.columns.get(name) ?? this.runs.map(() => null);
  }

  told() {
    const runs = `${this.matched === this.total ? "" : `${this.matched} of `}${this.total} ${this.total === 1 ? "run" : "runs"}`;
    return this.matched > this.runs.length ? `${runs}; the first ${this.runs.length} are drawn` : runs;
  }
}

/** A column's name without what it belongs to: settings and results hardly share names. */
export function label(name) {
  return name.replace(/^(config|summary)\./, "");
}

/** Whether more of a metric is better, as far as its name tells. */
export function risesWell(name) {
  return BETTER_HIGH.test(name);
}

/** A number, a text or null: what is not finite can't be drawn, and what is neither becomes a text. */
function plainValue(value) {
  if (value === null || value === undefined || NOT_FINITE.includes(value)) return null;
  if (typeof value === "number" || typeof value === "string") return value;
  return typeof value === "boolean" ? String(value) : JSON.stringify(value);
}
