// The code that a run ran: its script, the changes since the commit, and the packages that were there.

import { get } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { pageOfLink } from "./artifacts/addresses.js";
import { fileBrowser } from "./files.js";

const NAMES = ["diff.patch", "requirements.txt", "conda-environment.yaml", "pip-freeze.txt"];

export function codeTab(path, { state }) {
  const browser = fileBrowser(path, state, {
    kept: "code",
    only: isCode,
    nothing: "No code was saved with this run.",
    first: (files) => (files.find((file) => file.name.startsWith("code/")) ?? files[0])?.name ?? null,
  });
  const note = h("div", {});
  const update = async () => {
    await browser.update();
    const links = (await codeArtifacts(path)).map((each) => [" ", artifactLink(each)]);
    fill(note, links.length ? h("p.quiet", {}, "Kept as an artifact, with all of its files:", links) : null);
  };
  return { element: h("div", {}, note, browser.element), update };
}

export function isCode(name) {
  return name.startsWith("code/") || NAMES.includes(name);
}

/** The artifacts of code that the run at an API path has made, as `wandb.Run.log_code` does. */
export async function codeArtifacts(path) {
  return (await get(`${path}/artifacts`)).made.filter((each) => each.type === "code");
}

export function artifactLink(artifact) {
  return h("a", { href: pageOfLink(artifact) }, `${artifact.name}:v${artifact.number}`);
}
