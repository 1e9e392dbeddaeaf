// The artifacts of a project: all of them, one with its versions, or one version.

import { fill, h } from "../base/dom.js";
import { loadStyles } from "../base/styles.js";
import { pageOfArtifacts } from "./artifacts/addresses.js";

const VIEWS = {
  0: () => import("./artifacts/list.js"),
  2: () => import("./artifacts/collection.js"),
  3: () => import("./artifacts/version.js"),
};

export async function show(place, where) {
  const { entity, project, rest, path } = where;
  const load = VIEWS[rest.length] ?? VIEWS[0];
  const [module] = await Promise.all([load(), loadStyles("artifacts")]);
  const body = h("div", {});
  fill(place, load === VIEWS[0] ? null : crumbs(entity, project, rest), body);
  const [type, name, version] = rest;
  await module.show(body, { ...where, path: `${path}/artifacts`, type, name, version });
}

function crumbs(entity, project, rest) {
  const [type, name, version] = rest;
  const all = [
    h("a", { href: pageOfArtifacts(entity, project) }, "Artifacts"),
    h("span", {}, type),
    version === undefined ? h("span", { "aria-current": "page" }, name) : h("a", { href: pageOfArtifacts(entity, project, type, name) }, name),
  ];
  return h("nav.crumbs", { "aria-label": "Where the artifact is" }, all);
}
