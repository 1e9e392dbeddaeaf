// Which rows are chosen, by the names of their runs.

/** What the address holds in place of names where charts shall draw no run at all: without any, they draw the first. */
export const NO_RUN = "-";

export class Selection {
  constructor(names, told) {
    Object.assign(this, { names: new Set(names.filter((name) => name !== NO_RUN)), from: null, told });
  }

  has(name) {
    return this.names.has(name);
  }

  /** Choose a row, or no longer. With it the rows up to the one chosen before, `between(from, to)` names, if `range`. */
  async toggle(name, place, range, between) {
    const wanted = !this.names.has(name);
    const others = range && this.from !== null ? await between(Math.min(this.from, place), Math.max(this.from, place)) : [];
    for (const each of [name, ...others]) wanted ? this.names.add(each) : this.names.delete(each);
    this.from = place;
    this.told();
  }

  set(names) {
    this.names = new Set(names);
    this.from = null;
    this.told();
  }
}
