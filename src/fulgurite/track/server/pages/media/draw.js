// Draws any logged value: pictures, sounds, films, pages, tables, bodies, figures; what is none of these as text.

import { fill, h } from "../base/dom.js";
import { size } from "../base/format.js";
import { fileOf } from "../views/files.js";
import { figureView } from "./figure.js";
import { meshView } from "./mesh.js";
import { moleculeView } from "./molecule.js";
import { pictureView } from "./picture.js";
import { pointsView } from "./points.js";
import { notDrawn } from "./space.js";
import { tableView } from "./table.js";

const LONGEST = 20_000; // letters of a text
const MOST = 100; // pictures of a list
const MOST_BODIES = 4; // of a list: a browser has room for few drawings on the graphics card
const MESH = /\.(obj|stl|glb|gltf)$/i;
const MOLECULE = /\.(pdb|cif|mmcif|mcif|sdf|sd|mol2|pqr|gro)$/i;

/**
 * The element for a value. `about` has the run's API `path`; `labels(kind, set)` tells names of classes; what is chosen
 * for pictures stays in `settings`; `name` is the key; `small` is for cells of tables, and `place` for those of one in an artifact.
 */
export function draw(value, about) {
  const file = typeof value?.path === "string" ? fileOf(about, value.path) : null;
  const kind = value?._type;
  if (kind === "image-file" && file) return pictureView(value, about);
  if (kind === "images/separated") return several(pictures(value), (each) => pictureView(each, about));
  if (["audio", "videos", "html"].includes(kind) && Array.isArray(value[kind])) return several(value[kind].map((each, i) => ({ caption: value.captions?.[i], ...each })), (each) => draw(each, about));
  if (kind === "object3D" && Array.isArray(value.objects)) return bodies(value.objects, about);
  if (kind === "molecule" && Array.isArray(value.filenames)) return bodies(value.filenames.map((path, i) => ({ _type: "molecule-file", path, caption: value.captions?.[i] })), about);
  if (!file) return text(value);
  switch (kind) {
    case "audio-file":
      return captioned(h("audio", { src: file, controls: true, preload: "none" }), value);
    case "video-file":
      // A film of stills is a picture to browsers.
      return captioned(value.path.endsWith(".gif") ? h("img", { src: file, alt: String(value.caption ?? ""), loading: "lazy" }) : h("video", { src: file, controls: true, preload: "metadata", loop: true }), value);
    case "html-file":
      return about.small ? link(value, file) : h("iframe", { src: file, sandbox: "allow-scripts", loading: "lazy", title: "A logged page" });
    case "table-file":
      return about.small ? link(value, file) : tableView(about.path, value.path, { ...about, artifact: value.artifact_path });
    case "object3D-file":
    case "molecule-file":
      return about.small ? link(value, file) : captioned(body(value, file, about), value);
    case "plotly-file":
      return about.small ? link(value, file) : figureView(file, value);
    default:
      return link(value, file);
  }
}

/** A cloud of points, a mesh or a molecule, by the name of its file. */
function body(value, file, about) {
  const { _type: kind, path } = value;
  if (kind === "object3D-file" && path.endsWith(".json")) return pointsView(file, value, about);
  if (kind === "object3D-file" && MESH.test(path)) return meshView(file, value, about);
  if (kind === "molecule-file" && MOLECULE.test(path)) return moleculeView(file, value, about);
  return notDrawn(file, `Files like ${path.split("/").pop()} are not drawn.`);
}

/** Each is looked at from its own place. */
function bodies(list, about) {
  const settingsOf = (i) => ((about.settings.bodies ??= {})[i] ??= {});
  const more = list.length > MOST_BODIES ? h("p.quiet", {}, `The first ${MOST_BODIES} of ${list.length} are shown.`) : null;
  const name = (value, i) => [about.name, value?.caption ?? i + 1].filter(Boolean).join(" ");
  const grid = h("div.media", {}, list.slice(0, MOST_BODIES).map((value, i) => draw(value, { ...about, settings: settingsOf(i), name: name(value, i) })));
  return h("div", {}, grid, more);
}

/** The pictures of a list, each with its own caption, masks and boxes. */
function pictures({ filenames, captions, all_masks: masks, all_boxes: boxes, width, height }) {
  return (Array.isArray(filenames) ? filenames : []).map((path, i) => ({ path, caption: captions?.[i], masks: masks?.[i], boxes: boxes?.[i], width, height }));
}

function several(list, drawOne) {
  const more = list.length > MOST ? h("button", { type: "button" }, `Show ${list.length - MOST} more`) : null;
  const grid = h("div.media", {}, list.slice(0, MOST).map(drawOne));
  more?.addEventListener("click", () => {
    grid.append(...list.slice(MOST).map(drawOne));
    more.remove();
  });
  return more ? h("div", {}, grid, more) : grid;
}

function captioned(element, { caption }) {
  return caption ? h("figure", {}, element, h("figcaption", {}, String(caption))) : element;
}

function link({ _type: kind, path, size: bytes }, file) {
  return h("a", { href: file, target: "_blank", rel: "noopener", title: path }, String(kind ?? "file"), typeof bytes === "number" ? h("span.quiet", {}, ` ${size(bytes)}`) : null);
}

function text(value) {
  const written = typeof value === "string" ? value : (JSON.stringify(value, null, 1) ?? "–");
  return h("pre", { tabindex: 0 }, written.length > LONGEST ? `${written.slice(0, LONGEST)} … ${written.length} letters` : written);
}

/** Shows in `place` what `work` makes, and says so if it fails. */
export async function drawLater(place, work) {
  fill(place, h("p.quiet", {}, "Loading …"));
  try {
    await work();
  } catch (error) {
    fill(place, h("p.quiet.failed", {}, `This can't be shown: ${error.message}`));
  }
}
