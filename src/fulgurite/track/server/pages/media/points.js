// A logged cloud of points, drawn with Plotly.

import { counted } from "../base/format.js";
import { notDrawn, spaceView } from "./space.js";

const LARGEST = 64e6; // bytes
const MOST = 200_000; // points

export function pointsView(file, { size = 0 }, about) {
  if (size > LARGEST) return notDrawn(file, "This cloud is too large to be drawn here.");
  return spaceView(file, "JSON", about, async () => {
    const found = await (await fetch(file)).json();
    const scene = Array.isArray(found) ? { points: found } : found;
    const all = (scene.points ?? []).filter((point) => Array.isArray(point) && point.length >= 3);
    const apart = Math.ceil(all.length / MOST) || 1;
    const points = all.filter((_, i) => i % apart === 0);
    const boxes = Array.isArray(scene.boxes) ? scene.boxes.slice(0, 500).map(boxTrace).filter(Boolean) : [];
    return { traces: [cloud(points), ...boxes], name: `a cloud of ${counted(all.length, "point", "points")}`, notes: apart > 1 ? [`One of each ${apart} of ${all.length} points.`] : [] };
  });
}

/** A fourth number is a class, three more are a colour. */
function cloud(points) {
  const width = points[0]?.length ?? 3;
  const colour = width >= 6 ? points.map((point) => `rgb(${point.slice(3, 6).map((part) => Math.round(Number(part)) || 0).join(",")})`) : width === 4 ? points.map((point) => Number(point[3])) : "#4b8bd4";
  const at = (i) => points.map((point) => Number(point[i]));
  return { type: "scatter3d", mode: "markers", x: at(0), y: at(1), z: at(2), marker: { size: points.length > 5000 ? 1.5 : 2.5, color: colour, colorscale: "Viridis" }, hoverinfo: "x+y+z", showlegend: false };
}

/** The twelve edges of a box of eight corners in any order: three of them say how all others are reached from the first. */
function boxTrace({ corners, label, color }) {
  if (!Array.isArray(corners) || corners.length !== 8) return null;
  const [origin, ...others] = corners.map((corner) => corner.map(Number));
  const away = others.map((corner) => corner.map((part, i) => part - origin[i]));
  const sides = threeSides(away);
  if (!sides) return null;
  const corner = (bits) => origin.map((part, i) => part + sides.reduce((sum, side, bit) => sum + (bits & (1 << bit) ? side[i] : 0), 0));
  const edges = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((from) => [1, 2, 4].filter((bit) => !(from & bit)).map((bit) => [corner(from), corner(from | bit)]));
  const at = (i) => edges.flatMap(([from, to]) => [from[i], to[i], null]);
  const rgb = Array.isArray(color) ? `rgb(${color.slice(0, 3).map((part) => Math.min(Number(part) || 0, 255)).join(",")})` : "#e0773b";
  return { type: "scatter3d", mode: "lines", x: at(0), y: at(1), z: at(2), line: { color: rgb, width: 3 }, name: String(label ?? ""), hoverinfo: label ? "name" : "skip", showlegend: false };
}

function threeSides(away) {
  const isThere = (sum) => away.some((each) => each.every((part, i) => Math.abs(part - sum[i]) <= 1e-6 * (1 + Math.abs(part))));
  const plus = (...sides) => [0, 1, 2].map((i) => sides.reduce((sum, side) => sum + side[i], 0));
  for (let i = 0; i < 7; i++) {
    for (let j = i + 1; j < 7; j++) {
      for (let k = j + 1; k < 7; k++) {
        const [a, b, c] = [away[i], away[j], away[k]];
        if (isThere(plus(a, b)) && isThere(plus(a, c)) && isThere(plus(b, c)) && isThere(plus(a, b, c))) return [a, b, c];
      }
    }
  }
  return null;
}
