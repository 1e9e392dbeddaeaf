// A logged molecule: atoms in the colours that chemists know them by, and the bonds between them.

import { get } from "../base/api.js";
import { counted } from "../base/format.js";
import { plain } from "../charts/plotly.js";
import { numbersOf, spaceView } from "./space.js";

const ELEMENTS = {
  H: ["hydrogen", "#e8e8e8"], He: ["helium", "#d9ffff"], Li: ["lithium", "#cc80ff"], Be: ["beryllium", "#c2ff00"], B: ["boron", "#ffb5b5"],
  C: ["carbon", "#8a8a8a"], N: ["nitrogen", "#3050f8"], O: ["oxygen", "#ff0d0d"], F: ["fluorine", "#90e050"], Ne: ["neon", "#b3e3f5"],
  Na: ["sodium", "#ab5cf2"], Mg: ["magnesium", "#8aff00"], Al: ["aluminium", "#bfa6a6"], Si: ["silicon", "#f0c8a0"], P: ["phosphorus", "#ff8000"],
  S: ["sulfur", "#e6c619"], Cl: ["chlorine", "#1ff01f"], Ar: ["argon", "#80d1e3"], K: ["potassium", "#8f40d4"], Ca: ["calcium", "#3dff00"],
  Ti: ["titanium", "#bfc2c7"], Cr: ["chromium", "#8a99c7"], Mn: ["manganese", "#9c7ac7"], Fe: ["iron", "#e06633"], Co: ["cobalt", "#f090a0"],
  Ni: ["nickel", "#50d050"], Cu: ["copper", "#c88033"], Zn: ["zinc", "#7d80b0"], Se: ["selenium", "#ffa100"], Br: ["bromine", "#a62929"],
  Ag: ["silver", "#c0c0c0"], I: ["iodine", "#940094"], Pt: ["platinum", "#d0d0e0"], Au: ["gold", "#ffd123"], Hg: ["mercury", "#b8b8d0"], D: ["deuterium", "#e8e8e8"],
};
const OTHER = "#ff1493";
const SMALL = ["H", "D"];
const SIZES = [[20, 20], [200, 10], [2000, 6], [10_000, 4], [Infinity, 2.5]]; // up to so many atoms, pixels

export function moleculeView(file, { path }, about) {
  return spaceView(file, "The file", about, async () => {
    const found = await get(`${about.path}/molecule`, { name: path });
    const bonds = numbersOf(found.bonds, Int32Array);
    const places = [found.x, found.y, found.z].map((each) => numbersOf(each, Float64Array));
    const told = `${counted(found.atoms, "atom", "atoms")}, ${counted(bonds.length / 2, "bond", "bonds")}`;
    const guessed = found.guessed && bonds.length ? ["Bonds are guessed from distances."] : [];
    return { traces: [sticks(places, bonds), balls(places, found)], name: `a molecule of ${told}`, notes: [`${told}.`, ...guessed, ...found.notes], bare: true };
  });
}

function balls([x, y, z], { elements, element, names, atoms }) {
  const size = SIZES.find(([most]) => atoms <= most)[1];
  const kinds = Array.from(numbersOf(element, Uint8Array), (place) => elements[place]);
  const hovertext = kinds.map((kind, i) => `${plain(names[i])}<br>${ELEMENTS[kind]?.[0] ?? "element"} (${kind === "X" ? "not known" : kind})`);
  const marker = { size: kinds.map((kind) => (SMALL.includes(kind) ? 0.65 : 1) * size), color: kinds.map((kind) => ELEMENTS[kind]?.[1] ?? OTHER), opacity: 1, line: { width: size > 5 ? 1 : 0, color: "#6b7280" } };
  return { type: "scatter3d", mode: "markers", x, y, z, marker, hovertext, hoverinfo: "text", showlegend: false };
}

function sticks(places, bonds) {
  const [x, y, z] = places.map((axis) => Array.from({ length: (bonds.length / 2) * 3 }, (_, i) => (i % 3 === 2 ? null : axis[bonds[2 * Math.floor(i / 3) + (i % 3)]])));
  return { type: "scatter3d", mode: "lines", x, y, z, line: { color: "#8b929c", width: bonds.length > 4000 ? 2 : bonds.length > 40 ? 5 : 8 }, hoverinfo: "skip", showlegend: false };
}
