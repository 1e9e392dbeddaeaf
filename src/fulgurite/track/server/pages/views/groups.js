// Groups of runs as the charts draw them: what they are called and which runs are in each.

import { brief } from "../base/format.js";

export const MOST_RUNS = 500; // of all groups together: as many as one answer may tell

/** The groups of a table's answer: {label, count, runs: [name], number}, with the runs that are in its window. */
export function groupsIn({ groups, order }, columns, byId) {
  const names = columns.map((column) => column.slice(column.lastIndexOf(".") + 1));
  return groups.map(({ key, first, count }, number) => ({
    label: key.map((value, i) => `${names[i]}: ${brief(value)}`).join(", "),
    count,
    runs: order.slice(first, first + count).flatMap((id) => byId.get(id)?.name ?? []),
    number,
  }));
}

/** Those that have runs to be drawn. */
export function groupsOf(groups) {
  return groups.filter((group) => group.runs.length);
}
