// The API as a page: every address, what it takes and what it tells, as /api/openapi.json describes it.

import { get } from "./base/api.js";
import { fill, h } from "./base/dom.js";

const view = document.getElementById("view");
const DEPTH = 4; // shapes within shapes

async function show() {
  const api = await get("/openapi.json");
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })));
  const entries = operations.map((operation) => entry(api, operation));
  const topics = Map.groupBy(entries, ({ operation }) => operation.tags[0]);
  const sections = [...topics].map(([topic, members]) => section(topic, members));
  const none = h("p.empty", { hidden: true }, "No address has these words.");
  const find = h("input", { type: "search", id: "find", placeholder: "projects, sort, lineage …", input: () => filter(find.value, topics, sections, none) });
  fill(view,
    h("h1", {}, api.info.title),
    h("p.about", {}, prose(api.info.description)),
    h("div.tools", {}, h("label", { for: "find" }, "Find"), find, h("span.quiet", {}, `${operations.length} addresses below ${api.servers[0].url}`)),
    sections, none);
  open();
  addEventListener("hashchange", open);
}

/** The address that the page's own address names is opened. */
function open() {
  const chosen = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (chosen?.matches("details")) {
    chosen.open = true;
    chosen.scrollIntoView({ block: "start" });
  }
}

function filter(text, topics, sections, none) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  [...topics.values()].forEach((members, i) => {
    for (const { element, words: known } of members) element.hidden = !words.every((word) => known.includes(word));
    sections[i].hidden = members.every(({ element }) => element.hidden);
  });
  none.hidden = sections.some((each) => !each.hidden);
}

function section(topic, members) {
  return h("section.card.topic", {}, h("h2", {}, topic), members.map(({ element }) => element));
}

function entry(api, operation) {
  const { path, method, summary, description, operationId } = operation;
  const body = h("div.operation", {});
  const element = h("details", { id: operationId },
    h("summary", {}, h("span.method", { data: { method } }, method.toUpperCase()), h("code", {}, path), h("span.quiet", {}, prose(summary))),
    body);
  element.addEventListener("toggle", () => {
    if (!element.open || body.childElementCount) return;
    history.replaceState(null, "", `#${operationId}`);
    fill(body, description ? h("p", {}, prose(description)) : null, parameters(api, operation), sent(api, operation), answers(api, operation));
  });
  const names = operation.parameters.map((each) => each.name).join(" ");
  return { element, operation, words: [method, path, summary, description, names].join(" ").toLowerCase() };
}

function parameters(api, { parameters: all }) {
  if (!all.length) return null;
  const rows = all.map((each) => h("tr", {},
    h("th", { scope: "row" }, h("code", {}, each.name), each.required && each.in === "query" ? h("span.quiet", {}, " needed") : null),
    h("td", {}, each.in === "path" ? "in the address" : brief(api, each.schema)),
    h("td", {}, prose(each.description ?? ""), each.schema.default === undefined ? null : h("span.quiet", {}, ` (${each.schema.default})`)),
  ));
  const head = ["Parameter", "Type", "What it says"].map((name) => h("th", { scope: "col" }, name));
  return h("div.fields", {}, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)));
}

function sent(api, { requestBody }) {
  if (!requestBody) return null;
  return [h("h3", {}, "Sent as JSON"), fields(api, requestBody.content["application/json"].schema, DEPTH)];
}

function answers(api, { responses }) {
  const [status, { content }] = Object.entries(responses)[0];
  const [[media, { schema }]] = Object.entries(content);
  const errors = Object.entries(responses).slice(1).map(([code, { description }]) => h("li", {}, h("code", {}, code), " ", description));
  return [
    h("h3", {}, `Answer ${status}, `, h("code", {}, media)),
    media === "application/json" ? fields(api, schema, DEPTH) : null,
    h("details.errors", {}, h("summary", {}, "Errors"), h("ul", {}, errors)),
  ];
}

/** The fields of an object one by one; those of a shape in it can be opened. */
function fields(api, schema, depth) {
  const known = resolved(api, schema);
  const about = known.description ? h("p.quiet", {}, prose(known.description)) : null;
  const properties = Object.entries(known.properties ?? {});
  if (!properties.length) return about ?? h("p.quiet", {}, known.type === "object" ? "An object." : brief(api, schema));
  const item = ([name, each]) => {
    const inner = inside(api, each);
    const line = [h("code", {}, name), " ", h("span.quiet", {}, brief(api, each))];
    return h("li", {}, inner && depth > 0 ? nested(line, () => fields(api, inner, depth - 1)) : line);
  };
  return [about, h("ul.fields", {}, properties.map(item))];
}

function nested(line, make) {
  const place = h("div", {});
  const details = h("details", {}, h("summary", {}, line), place);
  details.addEventListener("toggle", () => details.open && !place.childElementCount && fill(place, make()));
  return details;
}

/** The object that a field holds: itself, each of a list, or each by name. */
function inside(api, schema) {
  if (schema.$ref || schema.properties) return schema;
  if (schema.items) return inside(api, schema.items);
  if (schema.additionalProperties) return inside(api, schema.additionalProperties);
  return (schema.anyOf ?? []).map((each) => inside(api, each)).find(Boolean);
}

function resolved(api, schema) {
  return schema.$ref ? api.components.schemas[schema.$ref.split("/").at(-1)] : schema;
}

function brief(api, schema) {
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.anyOf) return schema.anyOf.map((each) => brief(api, each)).join(" or ");
  if (schema.type === "array") return `list of ${brief(api, schema.items)}`;
  if (schema.additionalProperties) return `${brief(api, schema.additionalProperties)} by name`;
  return schema.type ?? "any";
}

/** Text with `code` in it. */
function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
}

show().catch((error) => fill(view, h("section.empty", {}, h("h1", {}, "This went wrong"), h("p", {}, error.message))));
