// Where a version comes from and what came of it: as a drawing of linked boxes, and as a list.

import { get, pageOf } from "../../base/api.js";
import { fill, h } from "../../base/dom.js";
import { size } from "../../base/format.js";
import { pageOfLink } from "./addresses.js";

const [WIDTH, HEIGHT, ACROSS, DOWN] = [190, 44, 70, 14]; // of a box, and between boxes
const LETTERS = 25; // that fit into a box
const STEPS = [1, 2, 4, 6, 8, 12];
const SWEEPS = 4; // passes that put linked boxes near each other

export function lineagePart({ own, state }) {
  const body = h("div", {});
  const choose = h("select", { id: "steps", change: () => state.set({ steps: Number(choose.value) }) }, STEPS.map((each) => h("option", { value: each, selected: each === state.get("steps") }, String(each))));
  const draw = async () => {
    fill(body, h("p.quiet", {}, "Loading …"));
    try {
      const graph = await get(`${own}/lineage`, { steps: state.get("steps") });
      fill(body, graph.more ? h("p.quiet", {}, "There is more than is drawn here.") : null, drawing(graph), list(graph));
      const [scroll, chosen] = [body.querySelector(".lineage"), body.querySelector("[data-chosen]")];
      if (chosen) scroll.scrollLeft = Number(chosen.dataset.chosen) - scroll.clientWidth / 2 + WIDTH / 2;
    } catch (error) {
      fill(body, h("p.fault", { role: "alert" }, error.message));
    }
  };
  choose.addEventListener("change", draw);
  draw();
  return h("section.card", {}, h("div.tools", {}, h("label", { for: "steps" }, "Steps before and after"), choose), body);
}

function drawing(graph) {
  const { columns, places, height } = layout(graph);
  const width = columns.length * (WIDTH + ACROSS) - ACROSS + 2;
  const edges = graph.edges.map(([from, to]) => edge(places.get(from), places.get(to)));
  const boxes = columns.flat().map((node) => box(node, places.get(node.id)));
  const picture = svg("svg", { width, height: height + 2, viewBox: `-1 -1 ${width} ${height + 2}`, role: "group", "aria-label": "Lineage; the same is told as a list below" }, ...edges, ...boxes);
  return h("div.lineage", { tabindex: 0, role: "region", "aria-label": "Drawing of the lineage" }, picture);
}

/** A column for each level; in it, what is linked to the same things stands together. */
function layout({ nodes, edges }) {
  const levels = [...new Set(nodes.map((node) => node.level))].sort((a, b) => a - b);
  const columns = levels.map((level) => nodes.filter((node) => node.level === level));
  const linked = new Map(nodes.map((node) => [node.id, []]));
  for (const [from, to] of edges) {
    linked.get(from).push(to);
    linked.get(to).push(from);
  }
  const rank = new Map();
  const number = (column) => column.forEach((node, i) => rank.set(node.id, (i + 0.5) / column.length));
  columns.forEach(number);
  const middle = (node) => {
    const others = linked.get(node.id);
    return others.length ? others.reduce((sum, id) => sum + rank.get(id), 0) / others.length : rank.get(node.id);
  };
  for (let i = 0; i < SWEEPS; i++) {
    for (const column of columns) {
      const wanted = new Map(column.map((node) => [node.id, middle(node)]));
      column.sort((a, b) => wanted.get(a.id) - wanted.get(b.id));
      number(column);
    }
  }
  const height = Math.max(...columns.map((column) => column.length * (HEIGHT + DOWN) - DOWN));
  const places = new Map(columns.flatMap((column, i) => {
    const top = (height - (column.length * (HEIGHT + DOWN) - DOWN)) / 2;
    return column.map((node, j) => [node.id, { x: i * (WIDTH + ACROSS), y: top + j * (HEIGHT + DOWN) }]);
  }));
  return { columns, places, height };
}

function edge(from, to) {
  const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
  const bend = x2 > x1 ? (x2 - x1) / 2 : ACROSS;
  return svg("path", { class: "edge", d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}` });
}

function box(node, { x, y }) {
  const { title, detail, href } = words(node);
  const classes = `node ${node.run ? "run" : "artifact"}${node.level === 0 ? " chosen" : ""}`;
  const parts = [
    svg("title", {}, `${title} ${detail}`),
    svg("rect", { x, y, width: WIDTH, height: HEIGHT, rx: node.run ? HEIGHT / 2 : 8 }),
    svg("text", { x: x + 16, y: y + 18, class: "title" }, cut(title)),
    svg("text", { x: x + 16, y: y + 34, class: "detail" }, cut(detail)),
  ];
  const link = href ? svg("a", { href, class: classes, "aria-label": `${node.run ? "Run" : "Artifact"} ${title}, ${detail}` }, ...parts) : svg("g", { class: classes }, ...parts);
  if (node.level === 0) link.dataset.chosen = x;
  return link;
}

function words({ run, artifact }) {
  if (run) return { title: run.display_name, detail: run.deleted ? "deleted run" : `run, ${run.state}`, href: run.deleted ? null : pageOf(run.entity, run.project, run.name) };
  const names = artifact.aliases.length ? artifact.aliases.join(", ") : size(artifact.size);
  return { title: `${artifact.name}:v${artifact.number}`, detail: `${artifact.type} · ${names}`, href: pageOfLink(artifact) };
}

/** The same from the earliest to the latest, with what each was made of. */
function list({ nodes, edges }) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const ordered = [...nodes].sort((a, b) => a.level - b.level);
  const name = (node) => {
    const { title, detail, href } = words(node);
    return [node.run ? "Run " : "", href ? h("a", { href }, title) : title, h("span.quiet", {}, ` ${detail}`)];
  };
  const item = (node) => {
    const before = edges.filter(([, to]) => to === node.id).map(([from]) => words(byId.get(from)).title);
    const how = node.run ? "used" : "made by";
    return h("li", { "aria-current": node.level === 0 ? "true" : null }, name(node), before.length ? h("span.quiet", {}, `, ${how} ${before.join(", ")}`) : null);
  };
  return h("details", {}, h("summary", {}, "As a list"), h("ol.steps", {}, ordered.map(item)));
}

function cut(text) {
  return text.length > LETTERS ? `${text.slice(0, LETTERS - 1)}…` : text;
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
