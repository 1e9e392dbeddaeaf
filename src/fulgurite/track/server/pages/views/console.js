// What a run printed: the last lines, and new ones as they come.

import { get } from "../base/api.js";
import { fill, h } from "../base/dom.js";

const SHOWN = 1000;
const REWRITTEN = 20; // a progress bar writes its last lines again
const CODES = /\x1b\[[0-9;?]*[A-Za-z]/g;

export function consoleTab(path) {
  const lines = new Map();
  const pre = h("pre.console", { tabindex: 0, "aria-label": "Console" });
  const note = h("p.quiet", {});
  let next = null;

  const update = async () => {
    const asked = next === null ? { last: SHOWN } : { first: Math.max(next - REWRITTEN, 0), most: SHOWN };
    const answer = await get(`${path}/console`, asked);
    for (const line of answer.lines) lines.set(line.number, line);
    for (const number of [...lines.keys()].slice(0, Math.max(0, lines.size - SHOWN))) lines.delete(number);
    next = answer.lines.length ? answer.lines.at(-1).number + 1 : (next ?? 0);
    draw(answer.count);
  };
  const draw = (count) => {
    const atEnd = pre.scrollTop + pre.clientHeight >= pre.scrollHeight - 5;
    fill(note, count > lines.size ? `The last ${lines.size} of ${count} lines.` : count ? `${count} lines.` : "The run has printed nothing.");
    fill(pre, [...lines.values()].map((line) => h("span", { data: { stream: line.stream } }, plain(line.line) + "\n")));
    pre.hidden = count === 0;
    if (atEnd) pre.scrollTop = pre.scrollHeight;
  };
  return { element: h("div", {}, note, pre), update };
}

/** A line as a terminal would leave it: what a carriage return took back is gone, and so are the colours. */
function plain(text) {
  return text.replace(CODES, "").split("\r").filter(Boolean).at(-1) ?? "";
}
