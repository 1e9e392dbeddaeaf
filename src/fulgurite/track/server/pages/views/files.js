// The files of a run.

import { address, get } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { ago, moment, size } from "../base/format.js";

/** The address of a run's file; what it holds can't act in this page's name. */
export function fileAddress(path, name, download = null) {
  return address(`${path}/files/content`, { name, download });
}

export function filesTab(path) {
  const element = h("div.scroll", {});
  const update = async () => {
    const { files } = await get(`${path}/files`);
    fill(element, files.length ? tableOf(path, files) : h("p.empty", {}, "The run has no files."));
  };
  return { element, update };
}

function tableOf(path, files) {
  return h("table", {},
    h("thead", {}, h("tr", {}, ["File", "Size", "Changed", ""].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, files.map((file) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: fileAddress(path, file.name), target: "_blank", rel: "noopener" }, file.name)),
      h("td.number", {}, size(file.size)),
      h("td", { title: moment(file.updated_at) }, ago(file.updated_at)),
      h("td", {}, h("a", { href: fileAddress(path, file.name, 1), "aria-label": `Download ${file.name}` }, "Download")),
    ))),
  );
}
