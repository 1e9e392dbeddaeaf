// The charts of a board in sections that can be folded: those whose names begin alike, up to the first slash, together.

import { fill, h } from "../base/dom.js";

const ORDER = new Intl.Collator("en", { numeric: true });

export function sections(board) {
  const element = h("div.sections", {});
  const made = new Map(); // by name
  const note = h("p.empty", { hidden: true });
  const place = h("div", {});
  element.append(note, place);

  const folded = (name) => board.state.get("folded").includes(name);
  const fold = (name, open) => {
    if (open === !folded(name)) return;
    const others = board.state.get("folded").filter((each) => each !== name);
    board.state.set({ folded: open ? others : [...others, name] });
  };
  const sectionOf = (name) => {
    const grid = h("div.charts", {});
    const count = h("span.quiet", {});
    const details = h("details.section", { toggle: () => fold(name, details.open) }, h("summary", {}, name || "Charts", " ", count), grid);
    return { grid, count, details };
  };
  const say = (text) => {
    fill(note, text);
    note.hidden = !text;
  };
  return {
    element,
    say,
    /** Puts every chart whose name is searched for into its section. */
    arrange() {
      const fits = matcher(board.settings.find);
      const charts = [...board.charts.values()].filter((chart) => fits(chart.name)).sort((a, b) => ORDER.compare(a.name, b.name));
      const groups = [...Map.groupBy(charts, (chart) => prefix(chart.name))].sort(([a], [b]) => ORDER.compare(a, b));
      for (const [name, members] of groups) {
        if (!made.has(name)) made.set(name, sectionOf(name));
        const { grid, count, details } = made.get(name);
        fill(count, String(members.length));
        details.open = !folded(name);
        // What is folded has no cards at all.
        fillOnce(grid, details.open ? members.map((chart) => chart.element) : []);
        if (details.open) for (const chart of members) board.sight.observe(chart.element);
      }
      fillOnce(place, groups.map(([name]) => made.get(name).details));
      say(charts.length ? "" : board.nothing());
    },
  };
}

/** Whether a name is searched for: by a regular expression, or where the text is none, by the text itself. */
export function matcher(text) {
  if (!text) return () => true;
  try {
    const expression = new RegExp(text, "i");
    return (name) => expression.test(name);
  } catch {
    return (name) => name.toLowerCase().includes(text.toLowerCase());
  }
}

function prefix(name) {
  return name.includes("/") ? name.slice(0, name.indexOf("/")) : "";
}

function fillOnce(place, children) {
  if (place.childNodes.length === children.length && children.every((child, i) => place.childNodes[i] === child)) return;
  fill(place, children);
}
