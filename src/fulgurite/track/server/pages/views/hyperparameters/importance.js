// Which settings matter for the metric, as the server reckons it over the chosen runs.

import { get } from "../../base/api.js";
import { fill, h } from "../../base/dom.js";
import { number } from "../../base/format.js";
import { label } from "./frame.js";

const SHOWN = 12;
const AGAIN = 60_000; // milliseconds after which it is reckoned anew for runs that go on: it takes the server seconds

export function importanceCard(context) {
  const { path, state } = context;
  const body = h("div", { "aria-live": "polite" });
  const element = h("section.card", {}, h("h2", {}, "What matters"), body);
  let asked = null;
  let askedAt = 0;
  let version = -1;
  let whole = false;
  const draw = async (frame) => {
    const metric = context.metric();
    element.hidden = !metric;
    const question = { metric, search: state.get("search") || null, filter: state.get("filter") };
    const key = JSON.stringify(question);
    const isFresh = version === frame.version || Date.now() - askedAt < AGAIN;
    if (!metric || (key === asked && isFresh)) return;
    [asked, askedAt, version] = [key, Date.now(), frame.version];
    if (!body.childElementCount) fill(body, h("p.quiet", {}, "Reckoning …"));
    try {
      const answer = await get(`${path}/importance`, question);
      if (key === asked) show(answer);
    } catch (error) {
      fill(body, h("p.fault", {}, error.message));
    }
  };
  const show = (answer) => {
    const all = answer.influences;
    const most = Math.max(...all.map((each) => each.importance ?? 0), 1e-9);
    const click = () => {
      whole = true;
      show(answer);
    };
    fill(body,
      answer.warnings.map((each) => h("p.note", {}, each)),
      all.some((each) => each.importance !== null) ? tableOf(whole ? all : all.slice(0, SHOWN), most) : null,
      all.length > SHOWN && !whole ? h("button.quiet-button", { type: "button", click }, `Show all ${all.length}`) : null,
      h("p.quiet", {}, `${answer.about} Over ${answer.runs} runs that have ${label(answer.metric)}`, answer.explained === null ? "." : `; the forest foretells ${Math.max(0, Math.round(100 * answer.explained))} % of its variance.`));
  };
  const tableOf = (influences, most) => h("div.scroll", { tabindex: 0, role: "region", "aria-label": "What matters" }, h("table.influences", {},
    h("thead", {}, h("tr", {}, ["Setting", "Importance", "", "Correlation", "", "Runs"].map((title, i) => h(i === 2 || i === 4 || i === 5 ? "th.number" : "th", { scope: title ? "col" : null }, title)))),
    h("tbody", {}, influences.map((each) => h("tr", {},
      h("th", { scope: "row" }, h("button.link", { type: "button", title: "Draw the metric over it", click: () => state.set({ across: each.column, up: context.metric() }) }, label(each.column))),
      h("td.bar", { "aria-hidden": "true" }, bar((each.importance ?? 0) / most)),
      h("td.number", {}, each.importance === null ? "–" : number(Number(each.importance.toPrecision(2)))),
      h("td.signed", { "aria-hidden": "true" }, each.correlation === null ? null : signed(each.correlation)),
      h("td.number", {}, each.correlation === null ? "–" : each.correlation.toFixed(2)),
      h("td.number", {}, String(each.runs)))))));
  return { element, draw };
}

function bar(share) {
  const element = h("div", {});
  element.style.width = `${Math.round(100 * share)}%`;
  return element;
}

/** A bar to the right for what rises with the setting, to the left for what falls. */
function signed(correlation) {
  const element = h("div", { data: { sign: correlation < 0 ? "-" : "+" } });
  element.style.width = `${Math.round(48 * Math.abs(correlation))}%`;
  element.style[correlation < 0 ? "right" : "left"] = "50%";
  return element;
}
