// The rows of the table as far as they were in sight: fetched page by page, and renewed by what has changed.

import { get } from "../../base/api.js";

const PAGE = 100;
const AWAY = 30; // seconds without a look after which all is asked anew: that a run fell silent is told for a minute only

/** Rows by their place among all matches. `told` is called whenever something has become known. */
export class Rows {
  constructor(path, told) {
    Object.assign(this, { path, told, query: {}, asked: 0, renewed: 0, loading: new Set() });
    this.forget();
  }

  forget() {
    Object.assign(this, { runs: new Map(), ids: new Map(), pages: new Map(), columns: [], groups: [], matched: 0, total: 0, running: 0, version: -1 });
  }

  /** The row at a place: `{run, values}`, or null as long as it is not known. */
  at(place) {
    const id = this.pages.get(pageOfPlace(place))?.order[place % PAGE];
    return id === undefined ? null : (this.runs.get(id) ?? null);
  }

  /** What is known of a run by its name, if it is. */
  named(name) {
    return this.runs.get(this.ids.get(name))?.run ?? null;
  }

  /** Ask for other rows or columns. What is known stays until the first page of the new ones, `page`, has come. */
  async choose(query, page = 0) {
    this.query = query;
    const turn = ++this.asked;
    this.loading.clear();
    const answer = await this.ask(page, -1);
    if (turn !== this.asked) return;
    this.forget();
    this.take(page, answer, -1);
    this.renewed = Date.now();
    this.told();
  }

  /** Have the rows at these places fetched, where they are not known or have become old. */
  want(places) {
    for (const page of pagesOf(places, this.matched)) {
      if (this.pages.get(page)?.version === this.version || this.loading.has(page)) continue;
      this.loading.add(page);
      // What can't be fetched now is asked for again by `renew`, which tells the failure.
      this.load(page, -1).catch(() => {}).finally(() => this.loading.delete(page));
    }
  }

  /** Fetch what has changed in the pages with these places; at least whether there are other rows. */
  async renew(places) {
    const pages = pagesOf(places, this.matched);
    const isAway = Date.now() - this.renewed > AWAY * 1000;
    for (const page of pages.length ? pages : [0]) await this.load(page, isAway ? -1 : (this.pages.get(page)?.version ?? -1));
    this.renewed = Date.now();
  }

  async load(page, since) {
    const turn = this.asked;
    const answer = await this.ask(page, since);
    if (turn !== this.asked) return;
    if (this.take(page, answer, since)) this.told();
    else await this.load(page, -1);
  }

  ask(page, since) {
    return get(`${this.path}/table`, { ...this.query, from: page * PAGE, first: PAGE, since });
  }

  /** Whether the answer held all that is needed to know its page. */
  take(page, answer, since) {
    const { order, runs, values, columns, groups, matched, total, running, version } = answer;
    if (String(columns) !== String(this.columns)) {
      if (since >= 0) return false;
      this.runs.clear();
      this.pages.clear();
    }
    for (const run of runs) {
      this.runs.set(run.id, { run, values: values[run.id], seen: version });
      this.ids.set(run.name, run.id);
    }
    // A row that has moved here unchanged is not told again: what is known of it must not be older than `since`.
    if (order.some((id) => !(this.runs.get(id)?.seen >= since))) return false;
    for (const id of order) this.runs.get(id).seen = version;
    this.pages.set(page, { order, version });
    Object.assign(this, { columns, groups, matched, total, running, version });
    return true;
  }
}

export function pageOfPlace(place) {
  return Math.floor(place / PAGE);
}

function pagesOf(places, matched) {
  return [...new Set(places.filter((place) => place < matched).map(pageOfPlace))];
}
