// What is known of a run beside its series: summary, configuration, and how it came about.

import { get, pageOf } from "../base/api.js";
import { copyButton } from "../base/copy.js";
import { fill, h } from "../base/dom.js";
import { ago, moment, size } from "../base/format.js";
import { fileAddress } from "./files.js";
import { sheet } from "../base/sheet.js";

const PROGRAM = ["program", "args", "codePath", "codePathLocal", "root", "startedAt", "executable", "python", "repo", "commit"];
const HIDDEN = ["writerId", "git", "repo", "commit"];

export function overviewTab(path, where) {
  const { state } = where;
  const search = h("input", { type: "search", placeholder: "Search names and values", "aria-label": "Search names and values", value: state.get("known") });
  const sheets = {
    summary: sheet("Summary", { nothing: "The run has no results yet." }),
    config: sheet("Configuration", { nothing: "The run has no settings." }),
    machine: sheet("Machine"),
  };
  const program = h("section.card", {});
  const others = h("div.stack", {});
  const beside = h("p.quiet", {});
  sheets.summary.element.append(beside);
  let run = null;

  const draw = () => {
    const words = search.value;
    const results = Object.entries(withoutOwn(run.summary));
    const media = results.filter(([, value]) => isMedia(value));
    sheets.summary.show(Object.fromEntries(results.filter(([, value]) => !isMedia(value))), words);
    fill(beside, media.length ? h("a", { href: "#media" }, `and ${media.length} with media`) : "");
    sheets.config.show(withoutOwn(run.config), words);
    const facts = circumstances(run.facts);
    sheets.machine.show(Object.fromEntries(Object.entries(facts).filter(([name]) => !PROGRAM.includes(name) && !HIDDEN.includes(name))), words);
  };
  search.addEventListener("input", () => {
    state.set({ known: search.value });
    draw();
  });
  const update = async (now) => {
    run = now;
    draw();
    const [{ files }, artifacts] = await Promise.all([get(`${path}/files`), get(`${path}/artifacts`).catch(() => null)]);
    fill(program, programOf(path, circumstances(run.facts), files));
    fill(others, alertsOf(run), artifacts ? artifactsOf(artifacts, where) : null);
  };
  const left = h("div.stack", {}, sheets.config.element, program);
  const right = h("div.stack", {}, sheets.summary.element, others, sheets.machine.element);
  return { element: h("div", {}, h("div.tools", {}, search), h("div.halves", {}, left, right)), update };
}

/** The wandb client keeps what it found out apart, for each process that wrote the run; the last one's counts. */
export function circumstances({ _wandb: own, ...facts }) {
  return { ...Object.values(own?.e ?? {}).at(-1), ...facts };
}

/** What people said, without what clients keep for themselves under names with a low line before them. */
export function withoutOwn(values) {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !name.startsWith("_")));
}

/** Whether a result, or any part of it, is a picture or the like: those have tabs of their own. */
function isMedia(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && ("_type" in value || (Object.keys(value).length > 0 && Object.values(value).every(isMedia)));
}

function programOf(path, facts, files) {
  const git = facts.git ?? {};
  const there = new Map(files.map((file) => [file.name, file]));
  const command = [facts.executable?.split("/").at(-1) ?? "python", facts.program, ...(facts.args ?? [])].filter(Boolean).map(quoted).join(" ");
  const lines = [
    facts.program ? ["Command", h("code", {}, command), copyButton("the command", () => command)] : null,
    facts.root ? ["Folder", facts.root, copyButton("the folder", () => facts.root)] : null,
    facts.python ? ["Python", facts.python] : null,
    git.commit ? ["Git commit", h("code", {}, git.commit), copyButton("the commit", () => git.commit)] : null,
    git.branch ? ["Branch", git.branch] : null,
    git.remote ?? git.remote_url ? ["Repository", git.remote ?? git.remote_url, copyButton("the repository", () => git.remote ?? git.remote_url)] : null,
    git.commit ? ["State", there.has("diff.patch") ? h("a", { href: "?code=diff.patch#code" }, `changed: diff.patch, ${size(there.get("diff.patch").size)}`) : "as committed"] : null,
    there.has("requirements.txt") ? ["Packages", h("a", { href: "?code=requirements.txt#code" }, "requirements.txt"), h("a", { href: fileAddress(path, "requirements.txt", 1), class: "quiet" }, "Download")] : null,
  ].filter(Boolean);
  const table = h("table.sheet", {}, h("tbody", {}, lines.map(([name, value, tool]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value), h("td.tool", {}, tool ?? null)))));
  return [h("h2", {}, "Program and code"), lines.length ? table : h("p.quiet", {}, "Nothing was said.")];
}

/** A word of a command as a shell would need it. */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replaceAll("'", "'\\''")}'`;
}

function alertsOf({ alerts }) {
  if (!alerts.length) return null;
  const item = ({ title, text, level, raised_at }) => h("li", {}, h("span.level", { data: { level } }, level), h("strong", {}, title), " ", h("span.alert-text", {}, text), h("span.quiet", { title: moment(raised_at) }, ` ${ago(raised_at)}`));
  return h("section.card", {}, h("h2", {}, "Alerts"), h("ul.plain-list", {}, alerts.toReversed().map(item)));
}

function artifactsOf(answer, { entity, project }) {
  const group = (title, list) => (list?.length ? [h("h3", {}, title), h("ul.plain-list", {}, list.map((each) => h("li", {}, h("a", { href: artifactPage(entity, project, each) }, artifactName(each)), h("span.quiet", {}, ` ${[each.type, each.size === undefined ? null : size(each.size)].filter(Boolean).join(", ")}`))))] : []);
  const shown = [...group("Made", answer.made ?? answer.logged), ...group("Used", answer.used)];
  return shown.length ? h("section.card", {}, h("h2", {}, "Artifacts"), shown) : null;
}

function artifactName({ name, version, number }) {
  const last = version ?? (number === undefined || number === null ? null : `v${number}`);
  return last && !name.includes(":") ? `${name}:${last}` : name;
}

function artifactPage(entity, project, artifact) {
  const [name, version] = artifactName(artifact).split(":");
  return `${pageOf(entity, project)}/artifacts/${[artifact.type, name, version].filter(Boolean).map(encodeURIComponent).join("/")}`;
}
