// What a terminal would show: colours and styles of a line as classes, the rest of its escapes as nothing.

import { h } from "./dom.js";

const STYLES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
const OFF = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"] };
const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])/g;
const LEVELS = [0, 95, 135, 175, 215, 255];

/** The line in pieces of one look each: `{text, classes, colour, ground}`. What a carriage return took back is gone. */
export function pieces(line) {
  const look = { styles: new Set(), colour: null, ground: null };
  let found = [];
  const put = (text) => {
    const parts = text.split("\r");
    // A return at the end takes nothing back until something else is written.
    if (parts.length > 1 && parts.slice(1).some(Boolean)) found = [];
    const last = parts.findLast(Boolean);
    if (last) found.push({ text: last, classes: classesOf(look), colour: rgb(look.colour), ground: rgb(look.ground) });
  };
  let place = 0;
  for (const escape of line.matchAll(ESCAPE)) {
    put(line.slice(place, escape.index));
    place = escape.index + escape[0].length;
    if (escape[2] === "m") obey(look, escape[1]);
  }
  put(line.slice(place));
  return found;
}

/** The pieces as elements, with `ranges` ([from, to] of letters) marked. */
export function elements(all, ranges = []) {
  let place = 0;
  return all.flatMap((piece) => {
    const from = place;
    place += piece.text.length;
    return cut(piece.text, ranges.map((range) => range.map((at) => at - from))).map(([text, marked]) => element(piece, text, marked));
  });
}

function element({ classes, colour, ground }, text, marked) {
  if (!classes.length && !colour && !ground) return marked ? h("mark", {}, text) : text;
  const shown = h("span", {}, marked ? h("mark", {}, text) : text);
  if (classes.length) shown.className = classes.join(" ");
  // Somewhat of the text's own colour keeps any colour legible on either ground.
  if (colour) shown.style.color = `color-mix(in oklab, ${colour} 75%, var(--text))`;
  if (ground) shown.style.backgroundColor = `color-mix(in oklab, ${ground} 45%, var(--card))`;
  return shown;
}

/** A text in pieces that lie within one of the ranges, or outside of all. */
function cut(text, ranges) {
  const found = [];
  let place = 0;
  for (const [from, to] of ranges) {
    const start = Math.max(from, place);
    const end = Math.min(to, text.length);
    if (end <= start) continue;
    if (start > place) found.push([text.slice(place, start), false]);
    found.push([text.slice(start, end), true]);
    place = end;
  }
  if (place < text.length) found.push([text.slice(place), false]);
  return found;
}

function obey(look, parameters) {
  const codes = parameters.split(/[;:]/).map(Number);
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) Object.assign(look, { styles: new Set(), colour: null, ground: null });
    else if (code in STYLES) look.styles.add(STYLES[code]);
    else if (code in OFF) OFF[code].forEach((style) => look.styles.delete(style));
    else if (code === 38 || code === 48) {
      const [colour, used] = chosen(codes.slice(i + 1));
      look[code === 38 ? "colour" : "ground"] = colour;
      i += used;
    } else if (code === 39) look.colour = null;
    else if (code === 49) look.ground = null;
    else if (code >= 30 && code <= 37) look.colour = code - 30;
    else if (code >= 90 && code <= 97) look.colour = code - 82;
    else if (code >= 40 && code <= 47) look.ground = code - 40;
    else if (code >= 100 && code <= 107) look.ground = code - 92;
  }
}

/** One of 16 colours as its number, another as [red, green, blue]; and how many codes said so. */
function chosen([kind, ...rest]) {
  if (kind === 2) return [rest.slice(0, 3).map((value) => Math.min(value || 0, 255)), 4];
  if (kind !== 5) return [null, 1];
  const number = rest[0] ?? 0;
  if (number < 16) return [number, 2];
  if (number >= 232) return [Array(3).fill(Math.min(8 + (number - 232) * 10, 255)), 2];
  const cube = number - 16;
  return [[Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((level) => LEVELS[level] ?? 255), 2];
}

function classesOf({ styles, colour, ground }) {
  return [...styles, ...(typeof colour === "number" ? [`fg${colour}`] : []), ...(typeof ground === "number" ? [`bg${ground}`] : [])];
}

function rgb(colour) {
  return Array.isArray(colour) ? `rgb(${colour.join(" ")})` : null;
}
