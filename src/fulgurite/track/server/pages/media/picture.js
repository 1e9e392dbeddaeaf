// A picture with the masks and boxes that were logged over it.

import { fill, h } from "../base/dom.js";
import { fileOf } from "../views/files.js";

const SVG = "http://www.w3.org/2000/svg";
const MOST_BOXES = 2000;

/** The colour of a class: the same in all pictures, as different as may be from those before it. */
function hue(id) {
  return Math.round((id * 137.508 + 210) % 360);
}

export function pictureView(value, about) {
  const src = fileOf(about, String(value.path));
  const caption = value.caption === null || value.caption === undefined ? "" : String(value.caption);
  const image = h("img", { src, alt: caption || (about.small ? value.path.split("/").pop() : ""), loading: "lazy" });
  if (about.small) return h("a", { href: src, target: "_blank", rel: "noopener" }, image);
  if (value.width > 0 && value.height > 0) Object.assign(image, { width: value.width, height: value.height });
  const frame = h("div.frame", {}, image);
  const layers = [...layersOf("mask", value.masks), ...layersOf("box", value.boxes)];
  const open = h("a.enlarge", { href: src, target: "_blank", rel: "noopener", title: "Open the picture", "aria-label": `Open the picture ${caption}` }, "⤢");
  return h("figure.picture", {}, frame, open, caption ? h("figcaption", {}, caption) : null, layers.length ? controls(frame, image, layers, about) : null);
}

function layersOf(kind, sets) {
  return Object.entries(sets ?? {}).filter(([, file]) => typeof file?.path === "string").map(([name, file]) => ({ kind, name, file }));
}

/** Draws the layers when the picture is there, and lets sets and classes be switched on and off. */
function controls(frame, image, layers, about) {
  const { labels, settings } = about;
  const chosen = (settings.layers ??= { off: new Set(), opacity: 0.55, open: false });
  const list = h("div.classes", {});
  const opacity = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: chosen.opacity, "aria-label": "Opacity of masks" });
  const paint = () => layers.forEach((layer) => layer.paint?.(chosen));
  opacity.addEventListener("input", () => {
    chosen.opacity = Number(opacity.value);
    paint();
  });
  const tick = (key, name, colour) => {
    const box = h("input", { type: "checkbox", checked: !chosen.off.has(key) });
    const swatch = colour === null ? null : h("span.swatch", {});
    if (swatch) swatch.style.backgroundColor = `hsl(${colour} 75% 50%)`;
    box.addEventListener("change", () => {
      if (box.checked) chosen.off.delete(key);
      else chosen.off.add(key);
      paint();
    });
    return h("label", {}, box, swatch, name);
  };
  const show = () => fill(list, layers.map((layer) => h("fieldset", {}, h("legend", {}, tick(`${layer.kind} ${layer.name}`, `${layer.name} (${layer.kind === "mask" ? "mask" : "boxes"})`, null)),
    (layer.classes ?? []).map((id) => tick(`${layer.kind} ${layer.name} ${id}`, layer.label(id), hue(id))))));
  const load = async () => {
    await Promise.allSettled(layers.map(async (layer) => {
      const known = labels?.(layer.kind, layer.name) ?? {};
      layer.label = (id) => String(known[id] ?? layer.own?.[id] ?? `class ${id}`);
      await (layer.kind === "mask" ? loadMask : loadBoxes)(layer, frame, image, fileOf(about, layer.file.path));
      layer.paint(chosen);
    }));
    show();
  };
  if (image.complete && image.naturalWidth) load();
  else image.addEventListener("load", load, { once: true });
  const details = h("details.layers", { open: chosen.open, toggle: () => (chosen.open = details.open) }, h("summary", {}, "Masks and boxes"), layers.some((layer) => layer.kind === "mask") ? h("label", {}, "Opacity ", opacity) : null, list);
  return details;
}

/** A mask is a picture whose grey values are numbers of classes. */
async function loadMask(layer, frame, image, src) {
  const mask = new Image();
  mask.src = src;
  await mask.decode();
  const canvas = h("canvas.layer", { width: mask.naturalWidth, height: mask.naturalHeight, "aria-hidden": "true" });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(mask, 0, 0);
  const ids = context.getImageData(0, 0, canvas.width, canvas.height).data.filter((_, i) => i % 4 === 0);
  layer.classes = [...new Set(ids)].sort((a, b) => a - b);
  frame.append(canvas);
  layer.paint = ({ off, opacity }) => {
    canvas.hidden = off.has(`mask ${layer.name}`);
    const colours = new Map(layer.classes.map((id) => [id, off.has(`mask ${layer.name} ${id}`) ? null : rgb(hue(id))]));
    const pixels = context.createImageData(canvas.width, canvas.height);
    ids.forEach((id, i) => {
      const colour = colours.get(id);
      if (colour) pixels.data.set([...colour, 255], 4 * i);
    });
    context.putImageData(pixels, 0, 0);
    canvas.style.opacity = opacity;
  };
}

async function loadBoxes(layer, frame, image, src) {
  const answer = await (await fetch(src)).json();
  layer.own = answer.class_labels;
  const boxes = (answer.box_data ?? []).slice(0, MOST_BOXES).map((box) => ({ ...placed(box, image), box })).filter(({ x, y, width, height }) => [x, y, width, height].every(Number.isFinite));
  layer.classes = [...new Set(boxes.map(({ box }) => Number(box.class_id ?? 0)))].sort((a, b) => a - b);
  const drawing = svg("svg", { class: "layer", viewBox: "0 0 100 100", preserveAspectRatio: "none" });
  frame.append(drawing);
  const names = h("div.layer.names", {});
  frame.append(names);
  layer.paint = ({ off }) => {
    const hidden = off.has(`box ${layer.name}`);
    const seen = hidden ? [] : boxes.filter(({ box }) => !off.has(`box ${layer.name} ${Number(box.class_id ?? 0)}`));
    drawing.replaceChildren(...seen.map(({ x, y, width, height, box }) => svg("rect", { x: 100 * x, y: 100 * y, width: 100 * width, height: 100 * height, fill: "none", stroke: `hsl(${hue(Number(box.class_id ?? 0))} 85% 55%)`, "stroke-width": 2, "vector-effect": "non-scaling-stroke" })));
    fill(names, seen.slice(0, 200).map(({ x, y, box }) => {
      const scores = Object.entries(box.scores ?? {}).map(([name, score]) => `${name} ${score}`).join(", ");
      const label = h("span.box-name", { title: scores || null }, String(box.box_caption ?? layer.label(Number(box.class_id ?? 0))));
      Object.assign(label.style, { left: `${100 * Math.max(x, 0)}%`, top: `${100 * Math.max(y, 0)}%` });
      return label;
    }));
  };
}

/** Where a box lies, in parts of the picture. */
function placed({ position: at = {}, domain }, image) {
  const [across, down] = domain === "pixel" ? [image.naturalWidth, image.naturalHeight] : [1, 1];
  const [x, y, width, height] = Array.isArray(at.middle)
    ? [at.middle[0] - at.width / 2, at.middle[1] - at.height / 2, at.width, at.height]
    : [at.minX, at.minY, at.maxX - at.minX, at.maxY - at.minY];
  return { x: x / across, y: y / down, width: width / across, height: height / down };
}

function rgb(degrees) {
  const part = (n) => {
    const k = (n + degrees / 30) % 12;
    return Math.round(255 * (0.5 - 0.375 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
