// What a run printed: all of its lines, of which only those in sight are loaded; searched by the server.

import { address, get } from "../base/api.js";
import { elements, pieces } from "../base/ansi.js";
import { fill, h } from "../base/dom.js";

const ROW = 20; // pixels, as in styles/run.css
const PAGE = 500; // lines asked for at once
const PAGES = 60; // kept
const REWRITTEN = 64; // a progress bar writes its last lines again
const MOST = 1_500_000; // lines: browsers know no higher elements
const AROUND = 30; // lines drawn above and below what is in sight
const LONGEST = 5000; // letters of a line that are drawn

export function consoleTab(path, { state }) {
  const pages = new Map();
  const coming = new Set();
  const rows = h("div.rows", {});
  const space = h("div.space", {}, rows);
  const pane = h("div.console", { tabindex: 0, role: "log", "aria-label": "Console", "aria-live": "off" }, space);
  const note = h("p.quiet", {});
  const tally = h("span.quiet.tally", { role: "status" });
  const search = h("input", { type: "search", placeholder: "Search all lines", "aria-label": "Search the console", value: state.get("console") });
  let count = 0;
  let found = { numbers: [], count: 0, until: 0 };
  let current = -1; // which of the found ones
  let marked = null; // the line that the address names
  let timer = null;

  const toggle = (name, label, title, changed) => {
    const button = h("button.toggle", { type: "button", title, "aria-pressed": String(state.get(name)) }, label);
    button.addEventListener("click", () => {
      state.set({ [name]: !state.get(name) });
      button.setAttribute("aria-pressed", String(state.get(name)));
      changed();
    });
    return button;
  };
  const first = () => Math.max(0, count - MOST);
  const jump = (number) => {
    pane.scrollTop = (number - first()) * ROW - pane.clientHeight / 2;
    draw();
  };
  const toEnd = () => (pane.scrollTop = pane.scrollHeight);
  const setFollow = (follows) => {
    if (state.get("follow") === follows) return;
    state.set({ follow: follows });
    follow.setAttribute("aria-pressed", String(follows));
  };
  const follow = toggle("follow", "Follow", "Stay at the end while lines come", () => state.get("follow") && toEnd());
  const times = toggle("times", "Times", "Show when each line was printed", () => draw());
  const cases = toggle("case", "Aa", "Small and capital letters differ", () => look());
  const regex = toggle("regex", ".*", "Search for a regular expression", () => look());
  const previous = h("button", { type: "button", title: "Previous match (Shift+Enter)", "aria-label": "Previous match", click: () => step(-1) }, "↑");
  const next = h("button", { type: "button", title: "Next match (Enter)", "aria-label": "Next match", click: () => step(1) }, "↓");
  const download = h("a.button", { href: address(`${path}/console/text`), download: "" }, "Download");

  const window_ = () => {
    const top = Math.floor(pane.scrollTop / ROW) + first();
    return [Math.max(first(), top - AROUND), Math.min(count, top + Math.ceil(pane.clientHeight / ROW) + AROUND)];
  };
  const load = async (page) => {
    if (coming.has(page)) return;
    coming.add(page);
    try {
      const { lines } = await get(`${path}/console`, { first: page * PAGE, most: PAGE });
      keep(page, lines);
    } finally {
      coming.delete(page);
    }
    draw();
  };
  const keep = (page, lines) => {
    const kept = pages.get(page) ?? new Map();
    for (const line of lines) if (Math.floor(line.number / PAGE) === page) kept.set(line.number, line);
    pages.delete(page);
    pages.set(page, kept);
    while (pages.size > PAGES) pages.delete(pages.keys().next().value);
  };
  const draw = () => {
    const [from, to] = window_();
    // A pattern that the server has not taken may keep a page busy for ever.
    const test = finder(state, found.until ? search.value : "");
    const shown = [];
    for (let number = from; number < to; number++) {
      const page = pages.get(Math.floor(number / PAGE));
      if (!page) load(Math.floor(number / PAGE));
      shown.push(row(number, page?.get(number), test));
    }
    rows.style.transform = `translateY(${(from - first()) * ROW}px)`;
    fill(rows, shown);
  };
  const row = (number, line, test) => {
    const chosen = number === found.numbers[current] || number === marked;
    const whole = line?.line ?? "";
    const all = pieces(whole.length > LONGEST ? `${whole.slice(0, LONGEST)} … ${whole.length} letters` : whole);
    const parts = elements(all, test(all.map((piece) => piece.text).join("")));
    const isError = line?.stream === "stderr";
    return h(chosen ? "div.line.current" : "div.line", { data: { stream: line?.stream ?? "" } },
      h("a.no", { href: "#console", click: (event) => mark(event, number), title: `Link to line ${number + 1}` }, number + 1),
      h("span.err", { title: isError ? "printed to stderr" : null }, isError ? "E" : " "),
      state.get("times") ? h("span.time", {}, timeOf(line?.written_at)) : null,
      line?.label ? h("span.label", {}, line.label) : null,
      h("span.text", {}, parts));
  };
  const mark = (event, number) => {
    event.preventDefault();
    marked = number;
    state.set({ line: number + 1 });
    setFollow(false);
    draw();
  };
  const look = async () => {
    const text = search.value;
    state.set({ console: text });
    current = -1;
    found = { numbers: [], count: 0, until: 0 };
    if (text) await lookFrom(0, text);
    if (search.value !== text) return;
    if (found.numbers.length) step(1, true);
    else draw();
    tell();
  };
  const lookFrom = async (start, text) => {
    try {
      const answer = await get(`${path}/console/search`, { text, first: start, case: Number(state.get("case")), regex: Number(state.get("regex")) });
      if (search.value !== text) return;
      const before = found.numbers.filter((number) => number < start);
      found = { numbers: [...before, ...answer.numbers], count: found.count - (found.numbers.length - before.length) + answer.count, until: answer.lines };
    } catch (error) {
      found = { numbers: [], count: 0, until: 0, fault: error.message };
    }
  };
  const step = (by, fromHere = false) => {
    const { numbers } = found;
    if (!numbers.length) return;
    if (fromHere) {
      const top = Math.floor(pane.scrollTop / ROW) + first();
      current = Math.max(0, numbers.findIndex((number) => number >= top));
    } else current = (current + by + numbers.length) % numbers.length;
    setFollow(false);
    jump(numbers[current]);
    tell();
  };
  const tell = () => {
    const { numbers, count: all, fault } = found;
    fill(tally, !search.value ? "" : (fault ?? (all ? `${current + 1} of ${all}${all > numbers.length ? ` (the first ${numbers.length} can be reached)` : ""}` : "nothing found")));
    previous.disabled = next.disabled = !numbers.length;
  };
  const tick = async () => {
    const isFirst = count === 0;
    const answer = await get(`${path}/console`, count ? { first: Math.max(0, count - REWRITTEN), most: PAGE } : { last: PAGE });
    if (answer.count < count) pages.clear(); // the run began anew
    const grew = answer.count !== count;
    count = answer.count;
    for (const [page, lines] of Map.groupBy(answer.lines, (line) => Math.floor(line.number / PAGE))) {
      // A page that was never whole must not look as if it were.
      if (pages.has(page) || lines[0].number % PAGE === 0) keep(page, lines);
    }
    space.style.height = `${Math.min(count, MOST) * ROW}px`;
    fill(note, count ? `${count.toLocaleString("en")} ${count === 1 ? "line" : "lines"}${count > MOST ? `, of which the last ${MOST.toLocaleString("en")} are here` : ""}` : "The run has printed nothing.");
    pane.hidden = count === 0;
    if (grew && search.value && !isFirst) await lookFrom(Math.max(0, found.until - REWRITTEN), search.value).then(tell);
    if (isFirst && count) return start();
    if (state.get("follow") && grew) toEnd();
    draw();
  };
  const start = () => {
    marked = state.get("line") ? state.get("line") - 1 : null;
    if (search.value) look();
    else if (marked !== null) (setFollow(false), jump(marked));
    else if (state.get("follow")) (toEnd(), draw());
    else draw();
  };

  pane.addEventListener("scroll", () => {
    const atEnd = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - ROW;
    if (state.get("follow") && !atEnd && pane.dataset.touched) setFollow(false);
    draw();
  });
  for (const kind of ["wheel", "touchmove", "keydown", "pointerdown"]) pane.addEventListener(kind, () => (pane.dataset.touched = "yes"), { passive: true });
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 250);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") (event.preventDefault(), step(event.shiftKey ? -1 : 1));
    if (event.key === "Escape") (search.value = "", look());
  });
  tell();
  const element = h("div", {}, h("div.tools", {}, search, h("span.together", {}, cases, regex, previous, next), tally, h("span.right.together", {}, times, follow, download)), note, pane);
  return { element, update: tick, tick };
}

/** Where in a line's text the search finds something, as [from, to]. */
function finder(state, text) {
  if (!text) return () => [];
  let pattern;
  try {
    pattern = new RegExp(state.get("regex") ? text : text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"), state.get("case") ? "g" : "gi");
  } catch {
    return () => [];
  }
  return (line) => [...line.slice(0, 2000).matchAll(pattern)].filter(([found]) => found).map((found) => [found.index, found.index + found[0].length]);
}

/** The time of day of a moment that the client wrote in UTC. */
function timeOf(written) {
  const moment = new Date(/Z|[+-]\d\d:?\d\d$/.test(written ?? "") ? written : `${written}Z`);
  return Number.isNaN(moment.getTime()) ? "" : moment.toLocaleTimeString("sv-SE");
}
