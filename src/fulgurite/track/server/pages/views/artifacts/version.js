// One version of an artifact: what is said of it, and its files, metadata, differences and lineage.

import { address, get, send } from "../../base/api.js";
import { copyButton } from "../../base/copy.js";
import { fill, h } from "../../base/dom.js";
import { ago, brief, leaves, moment, size } from "../../base/format.js";
import { addressState } from "../../base/state.js";
import { pageOfArtifacts, pathOfArtifact } from "./addresses.js";
import { runLink } from "./collection.js";
import { differencePart } from "./difference.js";
import { lineagePart } from "./lineage.js";
import { description, words } from "./said.js";
import { filesPart } from "./tree.js";

// Each makes an element; it is made when it is first looked at.
const PARTS = {
  files: ["Files", filesPart],
  metadata: ["Metadata", metadataPart],
  difference: ["Differences", differencePart],
  lineage: ["Lineage", lineagePart],
};

export async function show(place, where) {
  const { entity, project, path, type, name, version } = where;
  const own = pathOfArtifact(path, type, name, version);
  const state = addressState({ part: "files", to: "", steps: 4 }, `project ${entity}/${project}`);
  const [found, all] = await Promise.all([get(own), get(pathOfArtifact(path, type, name), { first: 500 })]);
  const context = { ...where, own, state, found, versions: all.versions };
  const bar = h("nav.tabs", { "aria-label": "Parts of the version" });
  const body = h("div", {});
  const opened = {};
  const draw = () => {
    const chosen = state.get("part") in PARTS ? state.get("part") : "files";
    const open = (part) => (event) => {
      event.preventDefault();
      state.set({ part });
    };
    fill(bar, Object.entries(PARTS).map(([part, [title]]) => h("a", { href: `?part=${part}`, click: open(part), "aria-current": part === chosen ? "page" : null }, title)));
    opened[chosen] ??= PARTS[chosen][1](context);
    if (body.firstChild !== opened[chosen]) fill(body, opened[chosen]);
  };
  state.on((values, changes) => (changes === undefined || "part" in changes) && draw());
  document.title = `${name}:v${found.number} · ${project} · Fulgurite`;
  fill(place, headOf(context), bar, body);
  draw();
}

function headOf({ entity, project, type, name, own, found, versions, mayWrite }) {
  const save = (change) => send("PATCH", own.replace(/[^/]*$/, `v${found.number}`), change);
  const go = (event) => (location.href = pageOfArtifacts(entity, project, type, name, event.currentTarget.value) + location.search);
  const numbers = versions.some((each) => each.number === found.number) ? versions : [found, ...versions];
  const choose = h("select", { "aria-label": "Version", change: go }, numbers.map((each) => {
    const names = each.aliases.length ? ` ${each.aliases.join(", ")}` : "";
    return h("option", { value: `v${each.number}`, selected: each.number === found.number }, `v${each.number}${names}`);
  }));
  const usage = `run.use_artifact("${entity === "local" ? "" : `${entity}/`}${project}/${name}:v${found.number}")`;
  const others = found.makers.filter((each) => each.name !== found.made_by?.name);
  return h("div.head", {},
    h("div.tools", {},
      h("h2", {}, name, h("span.quiet", {}, ` v${found.number}`)), choose,
      h("a.button", { href: address(`${own}/zip`), download: "" }, `Download all, ${size(found.size)}`)),
    h("p.quiet", { title: moment(found.created_at) },
      `${found.files} ${found.files === 1 ? "file" : "files"} · made ${ago(found.created_at)} by `, runLink(found.made_by),
      found.step === null ? null : ` at step ${found.step}`,
      others.length ? [" and ", between(others.map(runLink))] : null,
      found.kind === "portfolio" ? [" · linked from ", h("a", { href: pageOfArtifacts(...found.source.slice(0, 4), `v${found.source[4]}`) }, `${found.source[3]}:v${found.source[4]}`)] : null),
    h("p.quiet", {}, found.users.length ? ["Used by ", between(found.users.map(runLink))] : "Not used by any run yet."),
    description(found.description, mayWrite, (text) => save({ description: text })),
    h("div.wordlists", {},
      words("Aliases", found.aliases, { mayWrite, kind: "alias", fixed: found.aliases.includes("latest") ? ["latest"] : [], known: [...new Set(versions.flatMap((each) => each.aliases))].filter((each) => each !== "latest"), save: async (aliases) => (await save({ aliases })).aliases }),
      words("Tags", found.tags, { mayWrite, known: [...new Set(versions.flatMap((each) => each.tags))], save: async (tags) => (await save({ tags })).tags })),
    h("div.usage", {}, h("code", {}, usage), copyButton("the line that uses it", () => usage)));
}

function between(elements) {
  return elements.flatMap((each, i) => (i ? [", ", each] : [each]));
}

function metadataPart({ found }) {
  const { metadata } = found;
  const isObject = metadata !== null && typeof metadata === "object" && !Array.isArray(metadata);
  const rows = isObject ? leaves(metadata) : [];
  const facts = [["digest", found.digest], ["made at", moment(found.created_at)], ["kept for", found.ttl > 0 ? `${Math.round(found.ttl / 86400)} days` : "ever"]];
  const sheet = (title, entries) => h("section.card", {}, h("h2", {}, title),
    h("table.sheet", {}, h("tbody", {}, entries.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, brief(value)))))));
  const said = rows.length ? sheet("Metadata", rows) : h("section.card", {}, h("h2", {}, "Metadata"), isObject ? h("p.quiet", {}, "Nothing was said.") : h("pre", {}, brief(metadata)));
  return h("div.columns", {}, said, sheet("About", facts));
}
