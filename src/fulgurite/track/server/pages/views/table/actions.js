// What can be done to one run or to the chosen ones.

import { get, pageOf, pathOf, post, send } from "../../base/api.js";
import { fill, h } from "../../base/dom.js";
import { editTags, editText } from "../../base/edit.js";
import { openMenu } from "../../base/menu.js";
import { attempt, toast } from "../../base/toast.js";

export const MOST_DRAWN = 100; // runs that an address names to be drawn or compared
const FIELDS = { name: ["Name", "display_name"], notes: ["Notes", "notes"], group: ["Group", "group"], job_type: ["Job type", "job_type"] };

export const EDITABLE = [...Object.keys(FIELDS), "tags"];

/** `own()` tells the tags and groups that there are, `renew()` shows at once what has been changed. */
export function actionsOf({ entity, project, path, mayWrite }, { selection, rows, own, renew, places }) {
  const runPath = (name) => pathOf(entity, project, name);
  const plural = (names) => (names.length === 1 ? "1 run" : `${names.length} runs`);
  const change = async (name, said) => {
    await send("PATCH", runPath(name), said);
    await renew();
  };

  const edit = (column, run, anchor) => {
    if (!mayWrite || !EDITABLE.includes(column)) return;
    if (column === "tags") {
      const save = async (add, remove) => {
        await post(`${path}/tagged`, { runs: [run.name], add, remove });
        await renew();
      };
      editTags(anchor, { label: `Tags of ${run.display_name}`, tags: run.tags, known: own().tags ?? [], change: save });
      return;
    }
    const [label, field] = FIELDS[column];
    const value = run[field] ?? "";
    editText(anchor, { label, value, long: column === "notes", known: own()[column] ?? [], save: (text) => change(run.name, { [field]: text.trim() === "" ? null : text }) });
  };

  const remove = (names) =>
    attempt(async () => {
      const { ids } = await post(`${path}/deleted`, { runs: names });
      selection.set([...selection.names].filter((name) => !names.includes(name)));
      await renew();
      const undo = async () => {
        await post(`${path}/restored`, { ids });
        await renew();
      };
      toast(`${plural(names)} deleted. They can be restored for seven days.`.replace("1 run deleted. They", "1 run deleted. It"), { undo });
    });

  const stop = (names) =>
    attempt(async () => {
      for (const name of names) await post(`${runPath(name)}/stop`, {});
      toast(`${plural(names)} asked to stop.`);
      await renew();
    });

  const tag = async (names, anchor) => {
    const known = names.map((name) => rows.named(name)).filter(Boolean);
    const all = own().tags ?? [];
    // Of runs that are not known here, it is not known whether they have a tag.
    const tags = known.length === names.length ? all.filter((each) => known.every((run) => run.tags.includes(each))) : [];
    const some = known.length === names.length ? all.filter((each) => known.some((run) => run.tags.includes(each))) : all;
    const save = async (add, remove) => {
      const { changed } = await post(`${path}/tagged`, { runs: names, add, remove });
      await renew();
      if (!changed.length) return;
      const undo = async () => {
        await post(`${path}/tagged`, { runs: changed, add: remove, remove: add });
        await renew();
      };
      toast(`${add.length ? `“${add[0]}” added to` : `“${remove[0]}” removed from`} ${plural(changed)}.`, { undo });
    };
    editTags(anchor, { label: `Tags of ${plural(names)}`, tags, some, known: all, change: save });
  };

  const living = (names) => names.filter((name) => ["running", "preempting"].includes(rows.named(name)?.state));
  const charts = (names) => {
    const query = new URLSearchParams(location.search);
    query.delete("runs");
    for (const name of names) query.append("runs", name);
    return `${pageOf(entity, project)}?${query}`;
  };
  const compare = (names) => `${pageOf(entity, project)}/compare?${new URLSearchParams(names.map((name) => ["run", name]))}`;

  const menu = (run, anchor) => {
    const address = pageOf(entity, project, run.name);
    const writing = [
      null,
      ...Object.entries(FIELDS).map(([column, [label]]) => ({ title: column === "name" ? "Rename …" : `${label} …`, act: () => edit(column, run, anchor) })),
      { title: "Tags …", act: () => edit("tags", run, anchor) },
      null,
      living([run.name]).length ? { title: "Stop", act: () => stop([run.name]) } : null,
      { title: "Delete", danger: true, act: () => remove([run.name]) },
    ].filter((item, i, all) => item !== null || all[i - 1] !== null);
    openMenu(anchor, `Run ${run.display_name}`, [
      { title: "Open", href: address },
      { title: "Open in a new tab", href: address, target: "_blank" },
      { title: "Show in charts", href: charts([run.name]) },
      { title: "Copy its id", act: () => attempt(() => navigator.clipboard.writeText(run.name)) },
      ...(mayWrite ? writing : []),
    ]);
  };

  /** The bar over the table while rows are chosen. */
  const bar = h("div.selected", { role: "toolbar", "aria-label": "Chosen runs", hidden: true });
  const drawBar = () => {
    const names = [...selection.names];
    bar.hidden = names.length === 0;
    if (bar.hidden) return;
    const link = (title, href, able, why) => (able ? h("a.button", { href }, title) : h("a.button", { "aria-disabled": "true", title: why, role: "link" }, title));
    const stoppable = living(names);
    const button = (title, act, kind = "button") => h(kind, { type: "button", click: (event) => act(event.currentTarget) }, title);
    fill(bar,
      h("strong", {}, `${names.length} chosen`),
      names.length < rows.matched ? button(`All ${rows.matched}`, chooseAll, "button.quiet-button") : null,
      link("Show in charts", charts(names), names.length <= MOST_DRAWN, `${MOST_DRAWN} runs at most`),
      link("Compare", compare(names), names.length > 1 && names.length <= MOST_DRAWN, `Choose 2 to ${MOST_DRAWN} runs`),
      mayWrite ? button("Tags", (anchor) => tag(names, anchor)) : null,
      mayWrite && stoppable.length ? button(`Stop ${stoppable.length}`, () => stop(stoppable)) : null,
      mayWrite ? button("Delete", () => remove(names), "button.danger") : null,
      h("button.plain", { type: "button", "aria-label": "Choose none", click: () => selection.set([]) }, "×"));
  };
  const chooseAll = () =>
    attempt(async () => {
      const { names } = await get(`${path}/names`, { ...rows.query, column: null });
      selection.set(names);
    });
  /** The names of the rows from one place to another. */
  const between = async (from, to) => (await get(`${path}/names`, { ...rows.query, column: null, from, first: to - from + 1 })).names;
  return { edit, menu, bar, drawBar, chooseAll, between };
}
