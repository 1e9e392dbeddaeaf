// The state of a run as a coloured word.

import { h } from "./dom.js";

export function badge(state) {
  return h("span.state", { data: { state } }, state);
}
