// The table itself: only rows and columns in sight are in the page, and only cells that have changed are drawn anew.

import { fill, h } from "../../base/dom.js";
import { brief, number } from "../../base/format.js";
import { keyOf } from "./layout.js";

const LINE = 34; // pixels, as in table.css
const AROUND = 8; // lines above and below those in sight
const BOX = 38; // pixels of the column of checkboxes

/**
 * `source` has `layout()`, `row(place)`, `columns()` (of `columnOf`, those that stay in place first, with `pinned`) and
 * `isChosen(name)`, `chosen()` and `matched()` (how many), `isClosed(key)`, `best(name)`; `on` hears `sight(places)`, `open`, `choose`, `fold`, `menu`, `edit`, `head`, `sort`.
 */
export class Grid {
  constructor(source, on) {
    Object.assign(this, { source, on, shown: new Map(), active: 0, news: null, all: null, frame: 0 });
    this.cols = h("colgroup", {});
    this.head = h("tr", { "aria-rowindex": 1 });
    this.above = spacer();
    this.below = spacer();
    this.body = h("tbody", {}, this.above, this.below);
    this.table = h("table", { role: "grid", tabindex: 0, "aria-label": "Runs", "aria-multiselectable": "true", keydown: (event) => this.key(event), click: (event) => this.click(event), dblclick: (event) => this.click(event) }, this.cols, h("thead", {}, this.head), this.body);
    this.element = h("div.grid", { scroll: () => this.later() }, this.table);
    new ResizeObserver(() => this.later()).observe(this.element);
  }

  /** The places of the rows in sight. */
  places() {
    const { line, count } = this.source.layout();
    const [first, last] = this.range(count);
    const places = [];
    for (let i = first; i < last; i++) if (line(i).place !== undefined) places.push(line(i).place);
    return places;
  }

  range(count) {
    const top = Math.floor(this.element.scrollTop / LINE);
    const lines = Math.ceil((this.element.clientHeight || 600) / LINE);
    return [Math.max(0, Math.min(top, count - lines) - AROUND), Math.min(count, top + lines + AROUND)];
  }

  later() {
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  /** Where columns have come, gone or changed, the head is drawn anew, and so is every row. */
  restart(sorts) {
    const columns = this.source.columns();
    const news = JSON.stringify([sorts, columns]);
    if (news === this.news) return this.draw();
    this.news = news;
    fill(this.cols, [BOX, ...columns.map((column) => column.width)].map(col));
    this.table.style.width = `${BOX + columns.reduce((sum, column) => sum + column.width, 0)}px`;
    this.table.setAttribute("aria-colcount", columns.length + 1);
    this.all = h("input", { type: "checkbox", "aria-label": "Choose all runs that match", change: () => this.on.all(this.all.checked) });
    fill(this.head, h("th.box.pinned", { scope: "col", "aria-colindex": 1 }, this.all), columns.map((column, i) => this.headOf(column, i, sorts)));
    this.pin(this.head);
    // The room of the rows is held meanwhile: how many are in sight is measured by it.
    this.below.style.height = `${this.source.layout().count * LINE}px`;
    this.shown.forEach((line) => line.element.remove());
    this.shown.clear();
    this.draw();
  }

  headOf(column, i, sorts) {
    const place = sorts.findIndex((each) => each.replace(/^-/, "") === column.name);
    const falls = place >= 0 && sorts[place].startsWith("-");
    const sort = (event) => this.on.sort(column.name, event.shiftKey);
    const menu = (event) => {
      event.preventDefault();
      this.on.head(column.name, event.currentTarget);
    };
    const mark = place < 0 ? "" : `${falls ? "↓" : "↑"}${sorts.length > 1 ? place + 1 : ""}`;
    return h(column.numeric ? "th.number" : "th", {
      scope: "col", title: column.name, "aria-colindex": i + 2, "aria-sort": place < 0 ? null : falls ? "descending" : "ascending",
      data: { column: column.name, kind: column.name.split(".")[0] }, contextmenu: menu, draggable: column.name === "name" ? null : "true",
      dragstart: (event) => event.dataTransfer.setData("text/column", column.name),
      dragover: (event) => event.dataTransfer.types.includes("text/column") && event.preventDefault(),
      drop: (event) => this.on.move(event.dataTransfer.getData("text/column"), column.name),
    }, h("button.sort", { type: "button", click: sort }, h("span", {}, column.title), mark ? h("span.mark", { "aria-hidden": "true" }, mark) : null),
      h("button.more", { type: "button", "aria-haspopup": "menu", "aria-label": `Column ${column.name}`, click: menu }, "▾"));
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const layout = this.source.layout();
    const [first, last] = this.range(layout.count);
    const columns = this.source.columns();
    const [left, right] = this.sideways(columns);
    this.table.setAttribute("aria-rowcount", layout.count + 1);
    const span = `${left} ${right}`;
    const wanted = new Map();
    const places = [];
    for (let i = first; i < last; i++) {
      const { place, group } = layout.line(i);
      if (group === undefined) places.push(place);
      const row = group === undefined ? this.source.row(place) : null;
      const key = group ? `group ${keyOf(group)}` : row ? `run ${row.run.id}` : `place ${place}`;
      const known = this.shown.get(key);
      const line = known && known.span === span ? known : this.empty(key, span, known);
      this.fillLine(line, { i, place, group, row, columns, left, right });
      wanted.set(key, line);
    }
    for (const [key, line] of this.shown) if (wanted.get(key) !== line) line.element.remove();
    this.shown = wanted;
    this.above.style.height = `${first * LINE}px`;
    this.below.style.height = `${(layout.count - last) * LINE}px`;
    let next = this.above.nextSibling;
    for (const { element } of wanted.values()) {
      if (element === next) next = next.nextSibling;
      else this.body.insertBefore(element, next);
    }
    this.mark();
    const chosen = this.source.chosen();
    if (this.all) Object.assign(this.all, { checked: chosen > 0 && chosen >= this.source.matched(), indeterminate: chosen > 0 && chosen < this.source.matched() });
    this.on.sight(places);
  }

  /** The columns that are in sight, of those that don't stay in place. */
  sideways(columns) {
    const pinned = columns.filter((column) => column.pinned).length;
    const [from, to] = [this.element.scrollLeft, this.element.scrollLeft + (this.element.clientWidth || 1600)];
    let [left, right, x] = [columns.length, pinned, BOX];
    columns.forEach((column, i) => {
      if (i >= pinned && x + column.width > from && x < to) [left, right] = [Math.min(left, i), i + 1];
      x += column.width;
    });
    // Some more at each side, in steps, so that not each pixel draws anew.
    return [Math.max(pinned, Math.floor((Math.min(left, columns.length) - 2) / 4) * 4), Math.min(columns.length, Math.ceil((right + 2) / 4) * 4)];
  }

  empty(key, span, known) {
    known?.element.remove();
    return { key, span, element: h("tr", { id: `line-${key.replaceAll(/[^\w-]/g, "_")}` }), cells: null };
  }

  fillLine(line, { i, place, group, row, columns, left, right }) {
    const { element } = line;
    element.setAttribute("aria-rowindex", i + 2);
    Object.assign(line, { i, place, group, row });
    if (group) return this.fillGroup(line, columns);
    if (!row) return this.fillUnknown(element, columns);
    line.cells ??= this.cellsOf(line, columns, left, right);
    line.box.checked = this.source.isChosen(row.run.name);
    element.setAttribute("aria-selected", String(line.box.checked));
    for (const cell of line.cells) {
      const value = cell.column.value(row);
      const best = value !== undefined && value === this.source.best(cell.column.name);
      if (best !== cell.best) cell.element.classList.toggle("best", best);
      if (!Object.is(value, cell.value)) drawCell(cell, row, value);
      Object.assign(cell, { value, best });
    }
  }

  cellsOf(line, columns, left, right) {
    const { run } = line.row;
    line.box = h("input", { type: "checkbox", tabindex: -1, "aria-label": `Choose ${run.display_name}`, data: { act: "choose" } });
    const cells = columns.map((column, i) => (column.pinned || (i >= left && i < right) ? { column, element: cellOf(column, i), best: false } : null));
    const gap = (from, to) => (to > from ? h("td", { colspan: to - from, "aria-hidden": "true" }) : null);
    const pinned = columns.filter((column) => column.pinned).length;
    fill(line.element, h("td.box.pinned", { "aria-colindex": 1 }, line.box), cells.slice(0, pinned).map((cell) => cell.element),
      gap(pinned, left), cells.slice(left, right).map((cell) => cell.element), gap(Math.max(right, left), columns.length));
    this.pin(line.element);
    return cells.filter(Boolean);
  }

  fillUnknown(element, columns) {
    if (!element.firstChild) element.append(h("td", { colspan: columns.length + 1 }, h("span.quiet", {}, "…")));
  }

  fillGroup(line, columns) {
    const { group } = line;
    const closed = this.source.isClosed(keyOf(group));
    const news = JSON.stringify([group, closed]);
    if (line.news === news) return;
    line.news = news;
    line.element.className = "group";
    const name = group.key.map((value) => (Array.isArray(value) ? value.join(", ") : brief(value))).join(" · ");
    const button = h("button.plain", { type: "button", tabindex: -1, "aria-expanded": String(!closed), data: { act: "fold" } }, h("span.turn", { "aria-hidden": "true" }, "›"), h("span", {}, name || "–"), h("span.quiet", {}, ` ${group.count}`));
    const mean = (column) => (column.index >= 0 ? (group.means[column.index] ?? null) : null);
    fill(line.element, h("th.pinned.group-name", { scope: "row", colspan: 2, title: name }, button),
      columns.slice(1).map((column) => {
        const value = mean(column);
        return h(column.pinned ? "td.number.pinned" : "td.number", { title: value === null ? null : `mean of ${column.name}: ${value}` }, value === null ? "" : h("span.quiet", {}, "∅ "), value === null ? "" : number(Number(value.toPrecision(4))));
      }));
    this.pin(line.element, 1);
  }

  /** Puts the cells that stay in place where they stay. */
  pin(element, skip = 0) {
    let left = 0;
    const pinned = this.source.columns().filter((column) => column.pinned);
    const widths = skip ? [BOX + pinned[0].width, ...pinned.slice(1).map((column) => column.width)] : [BOX, ...pinned.map((column) => column.width)];
    widths.forEach((width, i) => {
      const cell = element.children[i];
      cell.classList.add("pinned");
      cell.classList.toggle("last-pinned", i === widths.length - 1);
      cell.style.left = `${left}px`;
      left += width;
    });
  }

  /** Shows which line the keys act on. */
  mark() {
    const { count } = this.source.layout();
    this.active = Math.max(0, Math.min(this.active, count - 1));
    this.table.removeAttribute("aria-activedescendant");
    for (const { element, i } of this.shown.values()) {
      element.classList.toggle("active", i === this.active);
      if (i === this.active) this.table.setAttribute("aria-activedescendant", element.id);
    }
  }

  line() {
    return [...this.shown.values()].find((line) => line.i === this.active) ?? null;
  }

  /** Moves to a line, and scrolls as far as is needed to see it. */
  go(to) {
    this.active = Math.max(0, Math.min(to, this.source.layout().count - 1));
    const [top, height] = [this.active * LINE, this.element.clientHeight - this.head.offsetHeight - 16];
    const { scrollTop } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + LINE > scrollTop + height) this.element.scrollTop = top + LINE - height;
    this.draw();
  }

  key(event) {
    if (event.target !== this.table) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / LINE) - 2);
    const to = { ArrowDown: this.active + 1, ArrowUp: this.active - 1, PageDown: this.active + page, PageUp: this.active - page, Home: 0, End: Infinity }[event.key];
    const line = this.line();
    const closed = line?.group && this.source.isClosed(keyOf(line.group));
    if (to !== undefined) this.go(to);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) this.on.all(true);
    else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      if (!line?.group) this.element.scrollLeft += event.key === "ArrowLeft" ? -120 : 120;
      else if (closed === (event.key === "ArrowRight")) this.on.fold(line.group);
    } else if (!line) return;
    else if (event.key === "Enter" && line.row) this.on.open(line.row.run, event.ctrlKey || event.metaKey);
    else if ((event.key === "Enter" || event.key === " ") && line.group) this.on.fold(line.group);
    else if (event.key === " " && line.row) this.on.choose(line.row.run, line.place, event.shiftKey);
    else if (event.key === "F2" && line.row) this.on.edit("name", line.row.run, line.element.children[1]);
    else if ((event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)) && line.row) this.on.menu(line.row.run, line.element.children[1]);
    else return;
    event.preventDefault();
  }

  click(event) {
    const element = event.target.closest("tbody tr");
    const line = element && [...this.shown.values()].find((each) => each.element === element);
    if (!line) return;
    this.active = line.i;
    this.mark();
    const { act } = event.target.closest("[data-act]")?.dataset ?? {};
    const column = event.target.closest("td, th")?.dataset.column;
    if (event.type === "dblclick") {
      if (line.row && column && !act) this.on.edit(column, line.row.run, event.target.closest("td, th"));
    } else if (act === "fold") this.on.fold(line.group);
    else if (act === "choose") this.on.choose(line.row.run, line.place, event.shiftKey);
    else if (act === "menu") this.on.menu(line.row.run, event.target);
    else if (act === "edit") this.on.edit(column, line.row.run, event.target.closest("td, th"));
  }
}

function spacer() {
  return h("tr.spacer", { "aria-hidden": "true" }, h("td", {}));
}

function col(width) {
  const element = h("col", {});
  element.style.width = `${width}px`;
  return element;
}

function cellOf(column, i) {
  const kind = column.name === "name" ? "th" : "td";
  return h(column.numeric ? `${kind}.number` : kind, { "aria-colindex": i + 2, scope: kind === "th" ? "row" : null, data: { column: column.name } });
}

function drawCell({ column, element }, row, value) {
  if (column.draw) column.draw(element, value, column, row);
  else fill(element, String(value));
  if (column.hint) element.title = column.hint(row);
  else if (column.draw === undefined) element.title = String(value);
}
