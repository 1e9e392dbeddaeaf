// One artifact: what is said of it, and its versions.

import { get, pageOf, send } from "../../base/api.js";
import { fill, h } from "../../base/dom.js";
import { ago, moment, size } from "../../base/format.js";
import { every } from "../../base/poll.js";
import { pageOfArtifacts, pathOfArtifact } from "./addresses.js";
import { description, words } from "./said.js";

const PAGE = 100;

export async function show(place, { entity, project, path, type, name, mayWrite }) {
  const own = pathOfArtifact(path, type, name);
  const head = h("div", {});
  const list = h("div.scroll", { tabindex: 0, role: "region", "aria-label": `Versions of ${name}` });
  const more = h("button", { type: "button", hidden: true }, "Show older versions");
  let versions = new Map();
  let shown = null;
  let said = null;

  const take = (answer) => {
    for (const each of answer.versions) versions.set(each.number, each);
    const lowest = Math.min(...versions.keys());
    if (answer.versions.length === 0 || answer.versions.at(-1).number <= lowest) more.hidden = !answer.more;
  };
  const draw = () => {
    const all = [...versions.values()].sort((a, b) => b.number - a.number);
    fill(list, all.length ? tableOf(all) : h("p.empty", {}, "No version is left."));
  };
  const tableOf = (all) => h("table.artifacts", {},
    h("thead", {}, h("tr", {}, ["Version", "Made by", "Files", "Size", "Made"].map((title, i) => h(i === 2 || i === 3 ? "th.number" : "th", { scope: "col" }, title)))),
    h("tbody", {}, all.map((each) => h("tr", {},
      h("th", { scope: "row" },
        h("a", { href: pageOfArtifacts(entity, project, type, name, `v${each.number}`) }, `v${each.number}`),
        each.aliases.map((alias) => h("span.tag.alias", {}, alias)),
        each.tags.map((tag) => h("span.tag", {}, tag)),
        each.description ? h("p.quiet.brief", {}, each.description) : null),
      h("td", {}, runLink(each.made_by)),
      h("td.number", {}, String(each.files)),
      h("td.number", {}, size(each.size)),
      h("td", { title: moment(each.created_at) }, ago(each.created_at)),
    ))));
  const drawHead = (collection) => {
    const save = (change) => send("PATCH", own, change);
    fill(head,
      h("h2", {}, name, " ", h("span.quiet", {}, collection.kind === "portfolio" ? "links to versions of other artifacts" : collection.type)),
      h("p.quiet", {}, `${collection.versions} ${collection.versions === 1 ? "version" : "versions"} · ${size(collection.size)} · changed ${ago(collection.updated_at)}`),
      description(collection.description, mayWrite, (text) => save({ description: text })),
      words("Tags", collection.tags, { mayWrite, save: async (tags) => (await save({ tags })).tags }));
  };
  more.addEventListener("click", async () => {
    take(await get(own, { first: PAGE, before: Math.min(...versions.keys()) }));
    draw();
  });
  fill(place, head, list, more);
  document.title = `${name} · ${project} · Fulgurite`;
  await every(10, async () => {
    const answer = await get(own, { first: PAGE });
    const news = JSON.stringify(answer);
    if (news === shown) return;
    shown = news;
    if (answer.versions.length) versions = new Map([...versions].filter(([number]) => number < answer.versions.at(-1).number));
    take(answer);
    draw();
    const words = JSON.stringify(answer.collection);
    if (words !== said && !document.querySelector(".pop")) drawHead(answer.collection);
    said = words;
  });
}

/** A run by its name; a deleted one, or one that has gone, leads nowhere. */
export function runLink(run) {
  if (!run) return h("span.quiet", {}, "not known");
  if (run.deleted) return h("span.quiet", {}, `${run.display_name} (deleted)`);
  return h("a", { href: pageOf(run.entity, run.project, run.name) }, run.display_name);
}
