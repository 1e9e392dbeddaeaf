// What a run logged that is no line: pictures, sounds, films, pages, histograms, and anything else as text.

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { fileAddress } from "./files.js";

const NEWEST = 8;

export function mediaTab(path) {
  const element = h("div", {});
  const update = async () => {
    const { keys } = await get(`${path}/keys`);
    const others = keys.filter((each) => each.kind === "other" && !each.name.startsWith("_"));
    const series = await Promise.all(others.slice(0, 50).map((each) => get(`${path}/values`, { key: each.key, most: NEWEST })));
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
      return h("img", { src: file, alt: value.caption ?? "", loading: "lazy" });
    case "images/separated":
      return h("div.media", {}, (value.filenames ?? []).map((name) => h("img", { src: fileAddress(path, name), alt: "", loading: "lazy" })));
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
