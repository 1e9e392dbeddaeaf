// Filters such as `config.lr>0.01`: read, written, shown as chips, and put together from columns and their values.

import { fill, h } from "./dom.js";
import { openAt } from "./menu.js";

const FILTER = /^\s*("(?:[^"\\]|\\.)*"|.+?)\s*(!=|<=|>=|!~|=|<|>|~)\s*([^]*?)\s*$/;
const OWN = ["name", "id", "state", "created", "duration", "group", "job_type", "sweep", "tags", "notes", "rows", "source"];
const WORDS = { "=": "is", "!=": "is not", ">": "more than", ">=": "at least", "<": "less than", "<=": "at most", "~": "matches", "!~": "does not match" };
const SIGNS = { "=": "=", "!=": "≠", ">": ">", ">=": "≥", "<": "<", "<=": "≤", "~": "~", "!~": "≁" };
const IS_SET = "is set";
const IS_NOT_SET = "is not set";
const OFFERED = 300; // columns and values in a list of suggestions

/** `{column, operator, value}`, the value as it is written; null if the text is no filter of a column. */
export function readFilter(text) {
  const found = split(text);
  return found && (OWN.includes(found.column) || /^(config|summary)\./.test(found.column)) ? found : null;
}

/** The same of what somebody has typed: `lr` may stand for config.lr, else for summary.lr, if that is one of `names`. */
export function typedFilter(text, names) {
  const found = split(text);
  const column = found && columnCalled(found.column, names);
  return column ? { ...found, column } : readFilter(text);
}

/** The names of columns in filters and words that no run has. */
export function unknownColumns(texts, names) {
  return texts.map(split).filter((found) => found && !OWN.includes(found.column) && !columnCalled(found.column, names)).map(({ column }) => column);
}

function columnCalled(name, names) {
  return [name, `config.${name}`, `summary.${name}`].find((each) => names.includes(each)) ?? null;
}

function split(text) {
  const found = FILTER.exec(text);
  if (!found) return null;
  let [, column, operator, value] = found;
  if (column.startsWith('"')) {
    try {
      column = JSON.parse(column);
    } catch {
      return null;
    }
  }
  return { column, operator, value };
}

/** A filter as text. `value` is as it is written: see `written`. */
export function writeFilter({ column, operator, value }) {
  return (/[=<>~!"]/.test(column) || column !== column.trim() ? JSON.stringify(column) : column) + operator + value;
}

/** A value as it stands in a filter: a text in quotes only where it would be read as something else. */
export function written(value) {
  if (typeof value !== "string") return JSON.stringify(value);
  return parsed(value) !== undefined || value !== value.trim() || value === "" ? JSON.stringify(value) : value;
}

/**
 * A row of chips, one for each filter, and a button that adds one. `about(column)` tells `{kind, values}` of a column as
 * far as it is known, `columns()` names all; `get` and `set` have the filters as texts.
 */
export function filterBar({ columns, about, get, set }) {
  const chips = h("span.chips", {});
  const add = h("button.quiet-button", { type: "button", "aria-haspopup": "dialog", click: () => build(null, add) }, "+ Filter");
  const element = h("div.filters", { role: "group", "aria-label": "Filters" }, chips, add);
  const build = (at, anchor, start = null) => {
    const known = at === null ? start : readFilter(get()[at]);
    openBuilder(anchor, known, { columns, about }, (text) => {
      const all = [...get()];
      all.splice(at ?? all.length, 1, text);
      set(all);
    });
  };
  const chip = (text, at) => h("span.chip", {},
    h("button", { type: "button", title: text, "aria-label": `Edit the filter ${text}`, click: (event) => build(at, event.currentTarget) }, ...said(text)),
    h("button", { type: "button", "aria-label": `Remove the filter ${text}`, click: () => set(get().filter((_, i) => i !== at)) }, "×"),
  );
  const draw = () => {
    const all = get();
    const clear = all.length > 1 ? h("button.quiet-button", { type: "button", click: () => set([]) }, "Clear") : null;
    fill(chips, all.map(chip), clear);
  };
  draw();
  return { element, draw, add: (start, anchor = add) => build(null, anchor, start) };
}

/** What a chip shows: the column, what must hold, and the value. */
function said(text) {
  const filter = readFilter(text);
  if (!filter) return [text];
  const { column, operator, value } = filter;
  const name = h("span.quiet", {}, column.replace(/^(config|summary)\./, ""));
  if (value === "null") return [name, ` ${operator === "=" ? IS_NOT_SET : IS_SET}`];
  const known = parsed(value);
  const shown = Array.isArray(known) ? known.map(String).join(" or ") : typeof known === "string" ? known : value;
  return [name, ` ${SIGNS[operator]} `, shown];
}

function openBuilder(anchor, start, { columns, about }, done) {
  const names = h("datalist", { id: "filter-columns" });
  const values = h("datalist", { id: "filter-values" });
  const column = h("input", { list: "filter-columns", value: start?.column ?? "", placeholder: "config.lr", autocomplete: "off", autofocus: !start, input: () => columnTyped() });
  const isNull = start?.value === "null" && ["=", "!="].includes(start.operator);
  const chosen = isNull ? (start.operator === "=" ? IS_NOT_SET : IS_SET) : (start?.operator ?? "=");
  const options = [...Object.entries(WORDS), [IS_SET, IS_SET], [IS_NOT_SET, IS_NOT_SET]];
  const operator = h("select", { change: () => operatorChosen() }, options.map(([sign, word]) => h("option", { value: sign, selected: sign === chosen }, SIGNS[sign] ? `${SIGNS[sign]}  ${word}` : word)));
  const value = h("input", { list: "filter-values", autocomplete: "off", placeholder: "0.01", autofocus: start !== null, "aria-label": "Value", input: () => offerValues() });
  const boxes = h("div.choices", { role: "group", "aria-label": "Values" });
  const fault = h("p.fault", { role: "alert" });
  let picked = new Set();

  const given = start && !isNull ? parsed(start.value) : undefined;
  value.value = typeof given === "string" ? given : isNull ? "" : (start?.value ?? "");
  if (given !== undefined || start) picked = new Set((Array.isArray(given) ? given : [given ?? start?.value]).map((each) => JSON.stringify(each)));

  const name = () => columnCalled(column.value.trim(), columns()) ?? column.value.trim();
  const known = () => about(name()) ?? { kind: "other", values: null };
  const manyAt = () => ["=", "!="].includes(operator.value) && known().values?.length > 0;
  const columnTyped = () => {
    offerColumns();
    // A whole filter may be typed at once, too.
    operatorChosen();
  };
  const offerColumns = () => {
    const word = column.value.trim().toLowerCase();
    const fitting = columns().filter((name) => name.toLowerCase().includes(word));
    fill(names, fitting.slice(0, OFFERED).map((name) => h("option", { value: name })));
  };
  const offerValues = () => {
    const word = value.value.toLowerCase();
    const fitting = (known().values ?? []).map(String).filter((each) => each.toLowerCase().includes(word));
    fill(values, fitting.slice(0, OFFERED).map((each) => h("option", { value: each })));
  };
  const operatorChosen = () => {
    const unary = [IS_SET, IS_NOT_SET].includes(operator.value);
    const many = manyAt();
    value.hidden = unary || many;
    boxes.hidden = unary || !many;
    fill(boxes, many ? known().values.slice(0, OFFERED).map(box) : []);
    offerValues();
  };
  const box = (each) => {
    const key = JSON.stringify(each);
    const change = (event) => (event.currentTarget.checked ? picked.add(key) : picked.delete(key));
    return h("label", {}, h("input", { type: "checkbox", checked: picked.has(key), change }), String(each));
  };
  const read = () => {
    const whole = typedFilter(column.value, columns());
    if (whole) return writeFilter(whole);
    const wanted = name();
    if (!readFilter(`${JSON.stringify(wanted)}=0`)) throw new Error(`There is no column ${wanted || "without a name"}. Settings are config.NAME, results summary.NAME.`);
    if (operator.value === IS_SET) return writeFilter({ column: wanted, operator: "!=", value: "null" });
    if (operator.value === IS_NOT_SET) return writeFilter({ column: wanted, operator: "=", value: "null" });
    if (!manyAt()) return writeFilter({ column: wanted, operator: operator.value, value: typed(value.value, known().kind, operator.value) });
    const all = known().values.filter((each) => picked.has(JSON.stringify(each)));
    if (!all.length) throw new Error("Choose a value.");
    return writeFilter({ column: wanted, operator: operator.value, value: all.length === 1 ? written(all[0]) : JSON.stringify(all) });
  };
  const submit = (event) => {
    event.preventDefault();
    try {
      done(read());
      element.hidePopover();
    } catch (error) {
      fill(fault, error.message);
    }
  };
  offerColumns();
  operatorChosen();
  const form = h("form.editor.builder", { submit },
    h("label", {}, "Column", column), names, h("label", {}, "must be", operator), value, values, boxes,
    h("div.buttons", {}, h("button.main", {}, "Apply"), h("button", { type: "button", click: () => element.hidePopover() }, "Cancel")),
    fault,
  );
  const element = openAt(anchor, form, { label: "Filter" });
}

/** What was typed as a value: of a column of texts, "1" is a text. */
function typed(text, kind, operator) {
  const isPattern = operator.endsWith("~");
  return kind === "text" && !isPattern && typeof parsed(text) !== "string" ? written(text) : text;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
