// What differs between a version and another one of the same artifact.

import { get } from "../../base/api.js";
import { fill, h } from "../../base/dom.js";
import { size } from "../../base/format.js";

export function differencePart({ own, state, found, versions }) {
  const others = versions.filter((each) => each.number !== found.number);
  if (!others.length) return h("p.empty", {}, "There is no other version to compare with.");
  const before = others.find((each) => each.number < found.number) ?? others[0];
  const known = others.some((each) => `v${each.number}` === state.get("to"));
  const choose = h("select", { id: "other", change: () => state.set({ to: choose.value }) }, others.map((each) => h("option", { value: `v${each.number}` }, [`v${each.number}`, ...each.aliases].join(" "))));
  choose.value = known ? state.get("to") : `v${before.number}`;
  const result = h("div", { role: "status" });
  const compare = async () => {
    fill(result, h("p.quiet", {}, "Comparing …"));
    try {
      // From the older one to the newer one, as people read changes.
      const other = choose.value;
      const isOlder = Number(other.slice(1)) < found.number;
      const [from, to] = isOlder ? [other, `v${found.number}`] : [`v${found.number}`, other];
      fill(result, told(from, to, await get(`${own.replace(/[^/]*$/, from)}/difference`, { to })));
    } catch (error) {
      fill(result, h("p.fault", {}, error.message));
    }
  };
  choose.addEventListener("change", compare);
  compare();
  return h("section.card", {}, h("div.tools", {}, h("label", { for: "other" }, "Compare with"), choose), result);
}

function told(from, to, { added, removed, changed, counts }) {
  const parts = [["added", "+", added.map((each) => [each.name, size(each.size)])],
    ["removed", "−", removed.map((each) => [each.name, size(each.size)])],
    ["changed", "~", changed.map((each) => [each.name, `${size(each.before)} → ${size(each.after)}`])]];
  const summary = `From ${from} to ${to}: ${parts.map(([title]) => `${counts[title]} ${title}`).join(", ")}, ${counts.same} the same.`;
  return [h("p.quiet", {}, summary), parts.filter(([title]) => counts[title]).map(([title, sign, rows]) => list(title, sign, rows, counts[title]))];
}

function list(title, sign, rows, count) {
  const item = ([name, what]) => h("li.file", {}, h("span.sign", { "aria-hidden": "true" }, sign), h("span.name", {}, name), h("span.size", {}, what));
  const rest = count > rows.length ? h("p.quiet", {}, `The first ${rows.length} of ${count}.`) : null;
  return h("details.difference", { open: count <= 200, data: { kind: title } }, h("summary", {}, `${count} ${title}`), h("ul", {}, rows.map(item)), rest);
}
