// A logged mesh. The server reads it, whatever the format of its file.

import { get } from "../base/api.js";
import { counted } from "../base/format.js";
import { numbersOf, spaceView } from "./space.js";

const COLOUR = "#4b8bd4";
// Meshes of any size in their own units: a face has a direction however small it is.
const LIGHT = { ambient: 0.55, diffuse: 0.75, specular: 0.15, roughness: 0.6, fresnel: 0.1, facenormalsepsilon: 0, vertexnormalsepsilon: 0 };
const FROM = { y: { x: 4e4, y: 1e5, z: 8e4 }, z: { x: 8e4, y: 4e4, z: 1e5 } };

export function meshView(file, { path }, about) {
  return spaceView(file, "The file", about, async () => {
    const mesh = await get(`${about.path}/mesh`, { name: path });
    return { traces: [trace(mesh)], name: `a mesh of ${said(mesh)}`, notes: [`${said(mesh)}.`, ...mesh.notes], up: mesh.up };
  });
}

function said({ faces, vertices }) {
  return `${counted(faces, "face", "faces")}, ${counted(vertices, "vertex", "vertices")}`;
}

function trace(mesh) {
  const { colour, colours, up } = mesh;
  const [x, y, z] = [mesh.x, mesh.y, mesh.z].map((each) => numbersOf(each, Float64Array));
  const [i, j, k] = [mesh.i, mesh.j, mesh.k].map((each) => numbersOf(each, Int32Array));
  const paint = colours ? { vertexcolor: coloursOf(numbersOf(colours, Uint8Array)) } : { color: colour ?? COLOUR };
  return { type: "mesh3d", x, y, z, i, j, k, ...paint, flatshading: true, lighting: LIGHT, lightposition: FROM[up], hoverinfo: "x+y+z", showscale: false };
}

function coloursOf(bytes) {
  return Array.from({ length: bytes.length / 3 }, (_, i) => `rgb(${bytes.subarray(3 * i, 3 * i + 3).join(",")})`);
}
