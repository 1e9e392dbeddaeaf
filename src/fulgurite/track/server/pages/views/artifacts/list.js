// All artifacts of a project, by type.

import { get } from "../../base/api.js";
import { fill, h } from "../../base/dom.js";
import { ago, moment, size } from "../../base/format.js";
import { every } from "../../base/poll.js";
import { addressState } from "../../base/state.js";
import { pageOfArtifacts } from "./addresses.js";

export async function show(place, { entity, project, path }) {
  const state = addressState({ artifact: "" }, `project ${entity}/${project}`);
  const find = h("input", { type: "search", placeholder: "Find artifacts", "aria-label": "Find artifacts by name, type or tag", value: state.get("artifact"), input: () => state.set({ artifact: find.value }) });
  const count = h("span.quiet", { role: "status" });
  const list = h("div", {});
  fill(place, h("div.tools", {}, find, count), list);
  let collections = [];
  let shown = null;
  const draw = () => {
    const words = state.get("artifact").toLowerCase().split(/\s+/).filter(Boolean);
    const found = collections.filter((each) => words.every((word) => [each.name, each.type, ...each.tags].join(" ").toLowerCase().includes(word)));
    const types = Map.groupBy(found, (each) => each.type);
    const sections = [...types].sort(([a], [b]) => a.localeCompare(b)).map(([type, members]) => section(entity, project, type, members));
    fill(count, `${found.length === collections.length ? "" : `${found.length} of `}${collections.length} ${collections.length === 1 ? "artifact" : "artifacts"}`);
    fill(list, sections.length ? sections : collections.length ? h("p.empty", {}, "No artifact has these words.") : nothing());
  };
  state.on(draw);
  await every(10, async () => {
    ({ collections } = await get(path));
    const news = JSON.stringify(collections);
    if (news === shown) return;
    shown = news;
    draw();
  });
}

function section(entity, project, type, members) {
  const head = ["Name", "Last version", "Versions", "Size", "Changed"];
  const row = (each) => h("tr", {},
    h("th", { scope: "row" },
      h("a", { href: pageOfArtifacts(entity, project, type, each.name) }, each.name),
      each.kind === "portfolio" ? h("span.tag", { title: "Versions of other artifacts are linked here" }, "portfolio") : null,
      each.tags.map((tag) => h("span.tag", {}, tag)),
      each.description ? h("p.quiet.brief", {}, each.description) : null),
    h("td", {}, each.last === null ? "–" : h("a", { href: pageOfArtifacts(entity, project, type, each.name, `v${each.last}`) }, `v${each.last}`)),
    h("td.number", {}, String(each.versions)),
    h("td.number", {}, size(each.size)),
    h("td", { title: moment(each.updated_at) }, ago(each.updated_at)),
  );
  return h("section", {},
    h("h2.type", {}, type, h("span.quiet", {}, ` ${members.length}`)),
    h("div.scroll", { tabindex: 0, role: "region", "aria-label": `Artifacts of type ${type}` },
      h("table.artifacts", {},
        h("thead", {}, h("tr", {}, head.map((name, i) => h(i === 2 || i === 3 ? "th.number" : "th", { scope: "col" }, name)))),
        h("tbody", {}, members.map(row)))));
}

function nothing() {
  const lines = 'artifact = wandb.Artifact("digits", type="dataset")\nartifact.add_dir("data")\nrun.log_artifact(artifact)';
  return h("section.empty", {}, h("h2", {}, "There is no artifact yet"), h("p", {}, "Sets of files that runs make and use are seen here, version by version:"), h("pre", {}, lines));
}
