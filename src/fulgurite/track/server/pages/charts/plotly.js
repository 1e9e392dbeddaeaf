// Plotly, which draws the charts, and the colours of the theme that it is to draw with.

import { h } from "../base/dom.js";

const THEME = { text: "--quiet", strong: "--text", grid: "--line", card: "--card", accent: "--accent" };
// Plotly brings the styles of its maps along and adds them where no element has this name. We draw no maps.
const STYLES_OF_MAPS = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";
let loading = null;

/** Plotly is large, so it is loaded when the first chart is near. */
export function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    const missing = () => reject(new Error('Plotly could not be loaded. On the server: pip install "fulgurite[track]"'));
    const script = h("script", { src: document.querySelector("meta[name=plotly]").content, load: () => resolve(window.Plotly), error: missing });
    document.head.append(h("template", { id: STYLES_OF_MAPS }), script);
  });
  return loading;
}

/** The colours of the theme by name. */
export function themeColours() {
  return Object.fromEntries(Object.entries(THEME).map(([name, variable]) => [name, value(variable)]));
}

/** The colour that a CSS variable stands for now: `colour("var(--run-3)")`; other colours as they are. */
export function colour(name) {
  const variable = /^var\((--[\w-]+)\)$/.exec(name);
  return variable ? value(variable[1]) : name;
}

/** A colour of six hexadecimal digits that lets through what is behind it: `share` is how much it covers. */
export function faint(hex, share) {
  return hex + Math.round(share * 255).toString(16).padStart(2, "0");
}

/** A text that Plotly shows as it is: it would read tags in it. */
export function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function value(variable) {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
}
