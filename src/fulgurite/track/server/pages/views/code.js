// The code that a run ran: its script, the changes since the commit, and the packages that were there.

import { fileBrowser } from "./files.js";

const NAMES = ["diff.patch", "requirements.txt", "conda-environment.yaml", "pip-freeze.txt"];

export function codeTab(path, { state }) {
  return fileBrowser(path, state, {
    kept: "code",
    only: isCode,
    nothing: "No code was saved with this run.",
    first: (files) => (files.find((file) => file.name.startsWith("code/")) ?? files[0])?.name ?? null,
  });
}

export function isCode(name) {
  return name.startsWith("code/") || NAMES.includes(name);
}
