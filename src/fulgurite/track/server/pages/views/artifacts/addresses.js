// Where artifacts are found, as pages and in the API.

import { pageOf } from "../../base/api.js";

/** The page of all artifacts of a project, of one, or of one version. */
export function pageOfArtifacts(entity, project, ...parts) {
  return [`${pageOf(entity, project)}/artifacts`, ...parts.map((part) => encodeURIComponent(part))].join("/");
}

/** The page of a version that is told as a link of the API. */
export function pageOfLink({ entity, project, type, name, number }) {
  return pageOfArtifacts(entity, project, type, name, `v${number}`);
}

/** The path of an artifact or a version below the API's path of all artifacts. */
export function pathOfArtifact(path, ...parts) {
  return [path, ...parts.map((part) => encodeURIComponent(part))].join("/");
}
