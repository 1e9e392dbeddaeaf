// The artifacts that a run has made and used.

import { get } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { ago, moment, size } from "../base/format.js";
import { pageOfLink } from "./artifacts/addresses.js";

export function artifactsTab(path) {
  const element = h("div", {});
  const update = async () => {
    const { made, used } = await get(`${path}/artifacts`);
    fill(element, made.length + used.length ? [section("Made", made), section("Used", used)] : h("p.empty", {}, "The run has neither made nor used an artifact."));
  };
  return { element, update };
}

function section(title, links) {
  if (!links.length) return null;
  const row = (each) => h("tr", {},
    h("th", { scope: "row" }, h("a", { href: pageOfLink(each) }, `${each.name}:v${each.number}`), each.aliases.map((alias) => [" ", h("span.tag", {}, alias)])),
    h("td", {}, each.type),
    h("td.number", {}, String(each.files)),
    h("td.number", {}, size(each.size)),
    h("td", { title: moment(each.created_at) }, ago(each.created_at)));
  return h("section", {}, h("h2", {}, title, h("span.quiet", {}, ` ${links.length}`)),
    h("div.scroll", { tabindex: 0, role: "region", "aria-label": title }, h("table", {},
      h("thead", {}, h("tr", {}, ["Artifact", "Type", "Files", "Size", "Logged"].map((name, i) => h(i === 2 || i === 3 ? "th.number" : "th", { scope: "col" }, name)))),
      h("tbody", {}, links.map(row)))));
}
