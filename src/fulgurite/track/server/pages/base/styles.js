// Styles of a view, loaded when it is first shown.

import { h } from "./dom.js";

const asked = new Map();

/** Loads `styles/NAME.css`; the promise is kept when it is there, or can't be had. */
export function loadStyles(name) {
  if (!asked.has(name)) {
    asked.set(name, new Promise((resolve) => document.head.append(h("link", { rel: "stylesheet", href: `/static/styles/${name}.css`, load: resolve, error: resolve }))));
  }
  return asked.get(name);
}
