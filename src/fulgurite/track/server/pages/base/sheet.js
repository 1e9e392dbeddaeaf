// Nested values as a table: searched, folded, copied.

import { copyButton } from "./copy.js";
import { fill, h } from "./dom.js";
import { brief } from "./format.js";

const MOST = 1000; // rows drawn
const LONGEST = 2000; // letters of a value

/** A card that shows nested `values` by `show(values, words)`; groups can be folded, each value copied. */
export function sheet(title, { nothing = "Nothing was said.", open = true } = {}) {
  const folded = new Set();
  const body = h("div", {});
  const count = h("span.quiet", {});
  let last = {};
  const copy = copyButton(`${title} as JSON`, () => JSON.stringify(last, null, 2), "Copy JSON");
  const element = h("details.card.known", { open }, h("summary", {}, h("h2", {}, title), count), copy, body);
  let words = [];

  const show = (values, text = "") => {
    last = values;
    words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const lines = [...rows(values, [], folded, words)];
    const total = countLeaves(values);
    const leaves = lines.filter((line) => !line.group).length;
    fill(count, words.length ? ` ${leaves} of ${total}` : ` ${total}`);
    if (words.length && leaves) element.open = true;
    copy.hidden = total === 0;
    const more = lines.length > MOST ? h("p.quiet", {}, `The first ${MOST} of ${lines.length}. Search for the others.`) : null;
    const drawn = lines.slice(0, MOST).map((line) => (line.group ? groupRow(line, again) : valueRow(line)));
    fill(body, total === 0 ? h("p.quiet", {}, nothing) : lines.length ? h("table.sheet", {}, h("tbody", {}, drawn)) : h("p.quiet", {}, "Nothing has such a name or value."), more);
  };
  const again = (name) => {
    if (!folded.delete(name)) folded.add(name);
    show(last, words.join(" "));
    [...body.querySelectorAll("button.fold")].find((button) => button.dataset.name === name)?.focus();
  };
  return { element, show };
}

/** The lines to be drawn: groups before what is in them; of what is searched for only what is found. */
function* rows(values, above, folded, words) {
  for (const [name, value] of Object.entries(values)) {
    const names = [...above, name];
    const full = names.join(".");
    if (isGroup(value)) {
      const inside = [...rows(value, names, words.length ? new Set() : folded, words)];
      if (words.length && !inside.length) continue;
      const isFolded = !words.length && folded.has(full);
      yield { group: true, name, full, depth: above.length, count: countLeaves(value), isFolded };
      if (!isFolded) yield* inside;
    } else {
      const text = textOf(value);
      const hay = `${full} ${text}`.toLowerCase();
      if (words.every((word) => hay.includes(word))) yield { name, full, depth: above.length, value, text };
    }
  }
}

function isGroup(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !("_type" in value) && Object.keys(value).length > 0;
}

function countLeaves(values) {
  return Object.values(values).reduce((sum, value) => sum + (isGroup(value) ? countLeaves(value) : 1), 0);
}

function groupRow({ name, full, depth, count, isFolded }, toggle) {
  const button = h("button.plain.fold", { type: "button", "aria-expanded": String(!isFolded), data: { name: full }, click: () => toggle(full) }, name);
  return h("tr", {}, h("th", { scope: "rowgroup", colspan: 3, class: depthOf(depth) }, button, h("span.quiet", {}, isFolded ? ` ${count}` : "")));
}

function valueRow({ name, full, depth, value, text }) {
  const shown = text.length > LONGEST ? `${text.slice(0, LONGEST)} … ${text.length} letters` : text;
  return h("tr", {},
    h("th", { scope: "row", class: depthOf(depth), title: full }, name),
    h("td", { title: typeof value === "number" && shown !== String(value) ? String(value) : null }, shown),
    h("td.tool", {}, copyButton(full, () => (typeof value === "string" ? value : JSON.stringify(value)))),
  );
}

function textOf(value) {
  return value === "" ? '""' : brief(value);
}

function depthOf(depth) {
  return `depth${Math.min(depth, 6)}`;
}
