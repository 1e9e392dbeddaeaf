// How the code of two runs differs: which files, and line by line, beside or below each other.

import { get } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { size } from "../base/format.js";
import { pageOfLink } from "./artifacts/addresses.js";
import { artifactLink, codeArtifacts } from "./code.js";

const SIGNS = { "+": "added", "-": "removed", " ": "same" };

/** Shows it in `place`: the first run against the second, or against another that is chosen. */
export async function codeDifference(place, path, runs, state) {
  const [first, ...others] = runs;
  const other = h("select", { "aria-label": "Compare the code with" }, others.map((run) => h("option", { value: run.name }, run.display_name)));
  const split = h("input", { type: "checkbox", checked: state.get("split") });
  const list = h("div.stack", {});
  const note = h("p.quiet", { role: "status" });
  const kept = h("div", {});
  const pair = () => ({ a: first.name, b: other.value });

  const load = async () => {
    fill(list);
    try {
      const { files, same } = await get(`${path}/diff`, pair());
      const also = same ? `${same} ${same === 1 ? "file is" : "files are"} the same` : "";
      fill(note, files.length ? [`${files.length} ${files.length === 1 ? "file differs" : "files differ"}`, also].filter(Boolean).join(", ") : also ? `No difference: ${also}.` : "Neither run has saved code.");
      fill(list, files.map(fileOf));
      fill(kept, artifacts(...(await Promise.all([pair().a, pair().b].map((name) => codeArtifacts(`${path}/runs/${encodeURIComponent(name)}`))))));
    } catch (error) {
      fill(note, error.message);
    }
  };
  const fileOf = ({ name, a, b }) => {
    const body = h("div", {});
    const what = a === null ? "only in the second" : b === null ? "only in the first" : `${size(a)} → ${size(b)}`;
    const details = h("details.card", { open: state.get("files") === name }, h("summary", {}, h("code", {}, name), h("span.quiet", {}, ` ${what}`)), body);
    const read = async () => {
      if (!details.open || body.hasChildNodes()) return;
      state.set({ files: name });
      try {
        fill(body, drawn(await get(`${path}/diff`, { ...pair(), name }), split.checked));
      } catch (error) {
        fill(body, h("p.fault", {}, error.message));
      }
    };
    details.addEventListener("toggle", read);
    read();
    return details;
  };
  other.addEventListener("change", load);
  split.addEventListener("change", () => {
    state.set({ split: split.checked });
    load();
  });
  fill(place, h("h2", {}, "Code"), h("div.tools", {}, h("span", {}, `${first.display_name} against `, others.length > 1 ? other : others[0].display_name), h("label", {}, split, " Beside each other")), note, kept, list);
  await load();
}

/** Links to what the two runs kept of their code as artifacts. */
function artifacts(a, b) {
  if (a.length + b.length === 0) return null;
  const same = a.some((mine) => b.some((its) => pageOfLink(its) === pageOfLink(mine)));
  const links = (all) => (all.length ? all.map((each, i) => [i ? ", " : "", artifactLink(each)]) : "none");
  const others = b.flatMap((its) => a.filter((mine) => mine.name === its.name && mine.number !== its.number).map((mine) => h("a", { href: `${pageOfLink(its)}?part=difference&to=v${mine.number}` }, "How they differ")));
  return h("p.quiet", {}, "Code kept as artifacts: ", links(a), " and ", links(b), same ? ", the same. " : ". ", others);
}

function drawn({ hunks, more, binary }, split) {
  if (binary) return h("p.quiet", {}, "They are no texts.");
  const rows = hunks.map((hunk) => h("tbody", {}, h("tr.hunk", {}, h("td", { colspan: 4 }, `from line ${hunk.a} and ${hunk.b}`)), split ? pairs(hunk) : single(hunk)));
  const note = more ? h("p.note", {}, "There is more: download both files to compare them whole.") : null;
  if (!rows.length) return h("p.quiet", {}, "They differ in the ends of their lines alone.");
  return [h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Differences" }, h("table.diff", { class: split ? "diff split" : "diff" }, h("colgroup", {}, (split ? ["no", "text", "no", "text"] : ["no", "no", "sign", "text"]).map((kind) => h(`col.${kind}`, {}))), rows)), note];
}

function single({ a, b, lines }) {
  let [at, to] = [a, b];
  return lines.map(([sign, text]) => {
    const numbers = [sign === "+" ? "" : at++, sign === "-" ? "" : to++];
    return h("tr", { class: SIGNS[sign] }, numbers.map((number) => h("td.no", {}, number)), h("td.sign", { "aria-label": SIGNS[sign] }, sign), h("td.text", {}, text));
  });
}

/** What was removed on the left, what was added on the right. */
function pairs({ a, b, lines }) {
  let [at, to] = [a, b];
  const rows = [];
  let [gone, come] = [[], []];
  const put = () => {
    for (let i = 0; i < Math.max(gone.length, come.length); i++) rows.push(h("tr", {}, side(gone[i]), side(come[i])));
    [gone, come] = [[], []];
  };
  for (const [sign, text] of lines) {
    if (sign === "-") gone.push([at++, sign, text]);
    else if (sign === "+") come.push([to++, sign, text]);
    else {
      put();
      rows.push(h("tr", {}, side([at++, sign, text]), side([to++, sign, text])));
    }
  }
  put();
  return rows;
}

function side(line) {
  if (!line) return [h("td.no", {}), h("td.text.void", {})];
  const [number, sign, text] = line;
  return [h("td.no", { class: `no ${SIGNS[sign]}` }, number), h("td", { class: `text ${SIGNS[sign]}` }, h("span.sign", { "aria-label": SIGNS[sign] }, sign), text)];
}
