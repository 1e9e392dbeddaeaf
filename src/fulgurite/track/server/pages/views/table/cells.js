// How each column is called and drawn.

import { badge } from "../../base/badge.js";
import { fill, h } from "../../base/dom.js";
import { ago, brief, duration, moment, number } from "../../base/format.js";

const DIGIT = 8; // pixels of a letter in a column's head
const NARROWEST = 88;
const WIDEST = 190;
const NOT_FINITE = ["NaN", "Infinity", "-Infinity"];

// What every run has. `value` is what is compared to see whether a cell must be drawn anew.
export const OWN = {
  name: { title: "Name", width: 250, value: (run) => run.display_name },
  id: { title: "Id", width: 110, value: (run) => run.name },
  state: { title: "State", width: 110, value: (run) => run.state, draw: (cell, state) => fill(cell, badge(state)) },
  created: { title: "Created", width: 112, value: (run) => ago(run.created), hint: (run) => moment(run.created) },
  duration: { title: "Duration", width: 96, numeric: true, value: (run) => duration(run.duration) },
  tags: { title: "Tags", width: 180, value: (run) => JSON.stringify(run.tags), hint: (run) => run.tags.join(", "), draw: (cell, tags) => fill(cell, JSON.parse(tags).map((tag) => h("span.tag", {}, tag))) },
  notes: { title: "Notes", width: 220, value: (run) => run.notes ?? "" },
  group: { title: "Group", width: 130, value: (run) => run.group ?? "" },
  job_type: { title: "Job", width: 110, value: (run) => run.job_type ?? "" },
  sweep: { title: "Sweep", width: 110, value: (run) => run.sweep ?? "" },
  rows: { title: "Rows", width: 90, numeric: true, value: (run) => run.rows },
  source: { title: "Source", width: 100, value: null },
};
export const USUAL = ["name", "state", "created", "duration", "tags"];

/**
 * A column as the table draws it. `index` is its place in the values of a row, or -1. `about` is what is known of it.
 */
export function columnOf(name, index, about, title = titleOf(name)) {
  const own = OWN[name];
  if (own) return { name, numeric: false, ...own, value: own.value ? (row) => own.value(row.run) : (row) => row.values[index] ?? "", hint: own.hint && ((row) => own.hint(row.run)) };
  const numeric = about ? about.kind === "number" : name.startsWith("summary.");
  return {
    name, title, index, numeric,
    width: Math.max(NARROWEST, Math.min(WIDEST, title.length * DIGIT + 48)),
    value: (row) => {
      const value = row.values[index];
      return value !== null && typeof value === "object" ? brief(value) : value;
    },
    draw: drawValue,
  };
}

/** What a head shows: the prefix goes, since settings and results look different enough. */
export function titleOf(name) {
  return OWN[name]?.title ?? name.replace(/^(config|summary)\./, "");
}

function drawValue(cell, value, column) {
  const nothing = value === null || value === undefined;
  fill(cell, nothing ? "" : typeof value === "number" ? number(value) : String(value));
  const isNumber = typeof value === "number" || NOT_FINITE.includes(value);
  cell.classList.toggle("number", column.numeric || isNumber);
  cell.classList.toggle("odd", NOT_FINITE.includes(value));
  cell.title = nothing ? "" : String(value);
}

const LOWER = /(^|[^a-z])(loss|err|error|nll|mse|mae|rmse|perplexity|ppl|cer|wer|fid)([^a-z]|$)/i;
const HIGHER = /(^|[^a-z])(acc|accuracy|f1|auc|auroc|precision|recall|iou|miou|map|bleu|r2|psnr|ssim)([^a-z]|$)/i;

/** The best value of a result, which is marked, where its name says which end is the good one; else null. */
export function bestOf({ name, kind, low, high, count }) {
  if (!name.startsWith("summary.") || kind !== "number" || count < 2 || low === high || low === null) return null;
  return LOWER.test(name) ? low : HIGHER.test(name) ? high : null;
}
