// What a run logged that is no line: pictures, sounds, films, pages, histograms, and anything else as text.

import { get } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { fileAddress } from "./files.js";
import { brief } from "../base/format.js";

const NEWEST = 8;
const ROWS = 100; // of a table
const LARGEST = 5e6; // bytes of a table that is read to show them
const NO_JSON = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;

export function mediaTab(path) {
  const element = h("div", {});
  let shown = null;
  const update = async () => {
    const { keys } = await get(`${path}/keys`);
    const others = keys.filter((each) => each.kind === "other" && !each.name.startsWith("_"));
    const series = await Promise.all(others.slice(0, 50).map((each) => get(`${path}/values`, { key: each.key, most: NEWEST })));
    // A table that was opened and a sound that is playing stay as they are, unless there is something new.
    const news = JSON.stringify(series);
    if (news === shown) return;
    shown = news;
    fill(element, series.length ? series.map((each) => section(path, each)) : h("p.empty", {}, "The run has logged no media."));
  };
  return { element, update };
}

function section(path, { name, values, count }) {
  const shown = values.toReversed().map(({ step, value }) => h("figure", {}, draw(path, value), h("figcaption.quiet", {}, `step ${step}`)));
  const note = count > values.length ? h("span.quiet", {}, ` the last ${values.length} of ${count}`) : null;
  return h("section.card", {}, h("h2", {}, name, note), h("div.media", {}, shown));
}

function draw(path, value) {
  const file = value?.path ? fileAddress(path, value.path) : null;
  switch (value?._type) {
    case "image-file":
      return picture(file, value.caption);
    case "images/separated":
      return h("div.media", {}, (value.filenames ?? []).map((name, i) => picture(fileAddress(path, name), value.captions?.[i])));
    case "table-file":
      return table(path, file, value);
    case "audio-file":
      return h("audio", { src: file, controls: true, preload: "none" });
    case "video-file":
      return h("video", { src: file, controls: true, preload: "metadata" });
    case "html-file":
      return h("iframe", { src: file, sandbox: "allow-scripts", loading: "lazy", title: "A logged page" });
    case "histogram":
      return histogram(value);
    default:
      return file ? h("a", { href: file, target: "_blank", rel: "noopener" }, value._type ?? "file") : h("pre", {}, text(value));
  }
}

function picture(file, caption) {
  const image = h("img", { src: file, alt: caption ?? "", loading: "lazy" });
  return caption ? h("figure", {}, image, h("figcaption", {}, caption)) : image;
}

/** The first rows of a logged table, read when it is opened. */
function table(path, file, { nrows, size = 0 }) {
  const name = nrows === undefined ? "Table" : `Table of ${nrows} ${nrows === 1 ? "row" : "rows"}`;
  const link = h("a", { href: file, target: "_blank", rel: "noopener" }, "JSON");
  if (size > LARGEST) return h("p", {}, `${name}, too large to be shown here. `, link);
  const place = h("div.scroll", {});
  const details = h("details", {}, h("summary", {}, name), place, link);
  const read = async () => {
    try {
      fill(place, rowsOf(path, parsed(await (await fetch(file)).text())));
    } catch {
      fill(place, h("p.quiet", {}, "This table can't be read."));
    }
  };
  details.addEventListener("toggle", () => details.open && place.childElementCount === 0 && read());
  return details;
}

function rowsOf(path, { columns, data }) {
  const cell = (value) => h(typeof value === "number" ? "td.number" : "td", {}, value?._type && value.path ? draw(path, value) : brief(value));
  const more = data.length > ROWS ? h("p.quiet", {}, `The first ${ROWS} of ${data.length} rows.`) : null;
  return [
    h("table", {},
      h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, String(name))))),
      h("tbody", {}, data.slice(0, ROWS).map((row) => h("tr", {}, row.map(cell))))),
    more,
  ];
}

/** JSON as Python writes it: numbers that are not finite stand there as bare words. */
function parsed(text) {
  return JSON.parse(text.replace(NO_JSON, (found) => (found.startsWith('"') ? found : `"${found}"`)));
}

function histogram({ values = [], bins = [] }) {
  const most = Math.max(...values, 1);
  const width = 240 / Math.max(values.length, 1);
  const bars = values.map((count, i) => {
    const height = (100 * count) / most;
    const title = svg("title", {}, `${bins[i]} to ${bins[i + 1]}: ${count}`);
    return svg("rect", { x: i * width, y: 100 - height, width: Math.max(width - 0.5, 0.5), height }, title);
  });
  return svg("svg", { viewBox: "0 0 240 100", class: "histogram", role: "img", "aria-label": `A histogram of ${values.length} bins` }, ...bars);
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 1);
}
