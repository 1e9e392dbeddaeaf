// What is in a file, by its kind: texts with line numbers, tables, pictures, sounds, films; else only a way to save it.

import { fill, h } from "../base/dom.js";
import { ago, moment, size } from "../base/format.js";
import { fileAddress, isPage } from "./files.js";
import { tableView } from "../media/table.js";
import { lineOf } from "../base/difflines.js";

const LARGEST = 1 << 20; // bytes of a text that are shown
const MOST_LINES = 20_000;
const LONGEST = 2000; // letters of a line
const MOST_ROWS = 1000; // of a CSV file
const TEXTS = /^text\/|json$|^application\/(toml|x-sh|x-yaml|sql)/;
const POPUPS = "allow-popups allow-popups-to-escape-sandbox"; // a link opens in a window of its own
const NAMES = /\.(log|txt|md|rst|py|ipynb|js|ts|c|h|cc|cpp|cu|java|go|rs|rb|sh|bash|ya?ml|toml|ini|cfg|conf|env|json|jsonl|ndjson|csv|tsv|patch|diff|lock|tex|r|jl|lua|proto|dockerfile)$|(^|\/)(Makefile|Dockerfile|LICENSE|README|requirements[^/]*)$/i;

/** Shows the run's `file` in `pane`. */
export async function preview(pane, path, file) {
  const link = fileAddress(path, file.name);
  const tools = [h("a.button", { href: link, target: "_blank", rel: "noopener" }, "Open"), h("a.button", { href: fileAddress(path, file.name, 1) }, "Download")];
  const about = h("p.quiet", { title: moment(file.updated_at) }, `${size(file.size)} · ${file.type} · ${ago(file.updated_at)}`);
  const body = h("div.content", {}, h("p.quiet", {}, "Loading …"));
  fill(pane, h("div.title", {}, h("h2", {}, file.name), h("div.actions", {}, tools)), about, body);
  try {
    fill(body, await content(path, file, link));
  } catch (error) {
    fill(body, h("p.note", {}, `This can't be shown: ${error.message}`));
  }
}

async function content(path, file, link) {
  const { name, type } = file;
  if (file.size === 0) return h("p.quiet", {}, "The file is empty.");
  if (type.startsWith("image/")) return h("img.whole", { src: link, alt: name });
  if (type.startsWith("audio/")) return h("audio", { src: link, controls: true, preload: "metadata" });
  if (type.startsWith("video/")) return h("video", { src: link, controls: true, preload: "metadata" });
  if (type === "text/html") return [h("iframe", { src: link, sandbox: "allow-scripts", title: name })];
  if (name.endsWith(".table.json")) return tableView(path, name);
  if (isPage(name, file.size)) return markdown(path, name, link);
  if (!TEXTS.test(type) && !NAMES.test(name)) return h("p.quiet", {}, "There is no preview of such a file.");
  const [text, isWhole] = await read(link, file.size);
  if (text.includes("\0")) return h("p.quiet", {}, "This is no text.");
  const note = isWhole ? null : h("p.note", {}, `The first ${size(LARGEST)} of ${size(file.size)}.`);
  if (/\.(csv|tsv)$/i.test(name)) return [note, csv(text, name.endsWith("tsv") ? "\t" : ",", isWhole)];
  if (/\.json$/i.test(name) && isWhole) return numbered(pretty(text));
  return [note, numbered(text, /\.(patch|diff)$/.test(name))];
}

/** A Markdown file as it is meant to be read, or as it was written. */
function markdown(path, name, link) {
  const body = h("div", {});
  const page = h("button.toggle", { type: "button", click: () => show(true) }, "Page");
  const written = h("button.toggle", { type: "button", click: () => show(false) }, "Text");
  let turn = 0;
  const show = async (asPage) => {
    const mine = ++turn;
    page.setAttribute("aria-pressed", String(asPage));
    written.setAttribute("aria-pressed", String(!asPage));
    if (asPage) return fill(body, h("iframe.page", { src: fileAddress(path, name, null, 1), sandbox: POPUPS, title: name }));
    const shown = await read(link, 0).then(([text]) => numbered(text), (error) => h("p.note", {}, `This can't be shown: ${error.message}`));
    if (mine === turn) fill(body, shown);
  };
  show(true);
  return [h("div.actions", { role: "group", "aria-label": "Show as" }, page, written), body];
}

/** The beginning of a file, and whether that is all. */
async function read(link, bytes) {
  const answer = await fetch(link, bytes > LARGEST ? { headers: { Range: `bytes=0-${LARGEST - 1}` } } : {});
  if (!answer.ok) throw new Error(`the server answered with status ${answer.status}`);
  return [await answer.text(), bytes <= LARGEST];
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // Python writes numbers that JSON does not know
  }
}

function numbered(text, isPatch = false) {
  const lines = text.replace(/\n$/, "").split("\n");
  const more = lines.length > MOST_LINES ? h("p.quiet", {}, `The first ${MOST_LINES} of ${lines.length} lines.`) : null;
  const rows = lines.slice(0, MOST_LINES).map((line, i) => {
    const shown = line.length > LONGEST ? `${line.slice(0, LONGEST)} … ${line.length} letters` : line.replace(/\r$/, "");
    return h("div.row", { data: { sign: isPatch ? lineOf(line) : "" } }, h("span.no", {}, i + 1), h("span.text", {}, shown || " "));
  });
  return [h("div.code", { tabindex: 0, role: "region", "aria-label": "Text" }, rows), more];
}

function csv(text, separator, isWhole) {
  const rows = [...parsed(text, separator, MOST_ROWS + 2)];
  if (!isWhole && rows.length <= MOST_ROWS) rows.pop(); // it may be cut
  const [head = [], ...data] = rows;
  const cells = (row) => head.map((_, i) => row[i] ?? "").map((cell) => h(cell !== "" && Number.isFinite(Number(cell)) ? "td.number" : "td", { title: cell.length > 40 ? cell.slice(0, LONGEST) : null }, cell.slice(0, 200)));
  const note = h("p.quiet", {}, data.length > MOST_ROWS ? `The first ${MOST_ROWS} rows.` : `${data.length} rows.`);
  return [note, h("div.scroll.tall", { tabindex: 0, role: "region", "aria-label": "Table" }, h("table", {}, h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, data.slice(0, MOST_ROWS).map((row) => h("tr", {}, cells(row))))))];
}

/** The rows of a CSV file: quotes hold separators, lines, and quotes written twice. */
function* parsed(text, separator, most) {
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^"${separator}\\r\\n][^${separator}\\r\\n]*)|)(${separator}|\\r?\\n|\\r|$)`, "y");
  let row = [];
  let rows = 0;
  while (rows < most && cell.lastIndex <= text.length) {
    const start = cell.lastIndex;
    const found = cell.exec(text);
    if (!found) return yield [...row, text.slice(start, start + LONGEST)];
    row.push(found[1] !== undefined ? found[1].replaceAll('""', '"') : (found[2] ?? ""));
    if (found[3] === separator) continue;
    if (row.length > 1 || row[0] !== "") (yield row, rows++);
    row = [];
    if (found[3] === "") return;
  }
}
