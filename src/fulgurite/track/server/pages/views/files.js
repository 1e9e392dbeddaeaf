// The files of a run as a tree of folders, and what is in the one that was chosen.

import { address, get } from "../base/api.js";
import { fill, h } from "../base/dom.js";
import { ago, moment, size } from "../base/format.js";
import { preview } from "./preview.js";

const UNFOLDED = 200; // files up to which all folders are open

/** The address of a run's file; what it holds can't act in this page's name. */
export function fileAddress(path, name, download = null, rendered = null) {
  return address(`${path}/files/content`, { name, download, rendered });
}

/** The address of a file that something logged names: of the run, or of the artifact that is the `place` of all of it. */
export function fileOf({ path, place = null }, name) {
  if (place === null) return fileAddress(path, name);
  const version = [place.type, place.name, place.version].map(encodeURIComponent).join("/");
  return address(`${path.replace(/\/runs\/[^/]*$/, "")}/artifacts/${version}/file`, { name });
}

/** Whether the server renders a file of that name and size: Markdown that is not too large. */
export function isPage(name, bytes) {
  return /\.(md|markdown)$/i.test(name) && bytes <= 1 << 16;
}

export function filesTab(path, where) {
  return fileBrowser(path, where.state, { kept: "file", only: () => true, nothing: "The run has no files." });
}

/** A tree beside a preview. The chosen file is kept in the address as `kept`; `first` picks one where none is. */
export function fileBrowser(path, state, { kept, only, nothing, first = () => null }) {
  const search = h("input", { type: "search", placeholder: "Filter files", "aria-label": "Filter files", input: () => draw() });
  const tree = h("nav.tree", { "aria-label": "Files" });
  const pane = h("section.preview", { "aria-label": "Content of the file" });
  const sum = h("p.quiet", {});
  const open = new Map();
  const element = h("div.browser", {}, h("div.side", {}, search, sum, tree), pane);
  let files = [];
  let shown; // what the preview shows: name and content; null is for no file

  const choose = (event, name) => {
    if (event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    state.set({ [kept]: name });
    draw();
    show();
    if (matchMedia("(max-width: 800px)").matches) pane.scrollIntoView({ behavior: "smooth" });
  };
  const show = () => {
    const name = state.get(kept) || first(files);
    const file = files.find((each) => each.name === name);
    const news = file ? `${name} ${file.md5}` : name;
    if (news === shown) return;
    shown = news;
    if (file) preview(pane, path, file);
    else fill(pane, h("p.empty", {}, name ? `The run has no file ${name}.` : "Choose a file to see what is in it."));
  };
  const draw = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = files.filter((file) => words.every((word) => file.name.toLowerCase().includes(word)));
    fill(sum, files.length ? `${found.length === files.length ? files.length : `${found.length} of ${files.length}`} ${files.length === 1 ? "file" : "files"}, ${size(found.reduce((all, file) => all + file.size, 0))}` : "");
    fill(tree, found.length ? branch(folderOf(found), "", words.length > 0) : h("p.quiet", {}, files.length ? "No file has such a name." : nothing));
  };
  const branch = (folder, above, all) => h("ul", {}, [...folder.folders].map(([name, inner]) => {
    const full = `${above}${name}/`;
    const chosen = state.get(kept).startsWith(full);
    const isOpen = all || chosen || (open.get(full) ?? files.length <= UNFOLDED);
    const content = h("div", {});
    // A folder of thousands is filled when it is opened.
    const details = h("details", { open: isOpen, toggle: () => (all || open.set(full, details.open), unfold()) }, h("summary", {}, name, h("span.quiet", {}, ` ${inner.count}, ${size(inner.size)}`)), content);
    const unfold = () => details.open && !content.hasChildNodes() && fill(content, branch(inner, full, all));
    unfold();
    return h("li", {}, details);
  }), folder.files.map((file) => h("li", {}, h("a", {
    href: here(kept, file.name), click: (event) => choose(event, file.name), title: `${file.name}, ${moment(file.updated_at)}`,
    "aria-current": (state.get(kept) || first(files)) === file.name ? "true" : null,
  }, file.name.slice(above.length), h("span.quiet", { title: ago(file.updated_at) }, size(file.size))))));
  const update = async () => {
    const answer = await get(`${path}/files`);
    const fresh = answer.files.filter((file) => only(file.name));
    if (JSON.stringify(fresh) !== JSON.stringify(files) || !tree.hasChildNodes()) {
      files = fresh;
      draw();
    }
    show();
  };
  state.on(() => show());
  return { element, update };
}

function here(kept, name) {
  const query = new URLSearchParams(location.search);
  query.set(kept, name);
  return `?${query}${location.hash}`;
}

/** Files by the folders in their names, each with how many files are below it and how large they are. */
function folderOf(files) {
  const root = { folders: new Map(), files: [], count: 0, size: 0 };
  for (const file of files) {
    let folder = root;
    for (const name of file.name.split("/").slice(0, -1)) {
      if (!folder.folders.has(name)) folder.folders.set(name, { folders: new Map(), files: [], count: 0, size: 0 });
      folder = folder.folders.get(name);
      folder.count += 1;
      folder.size += file.size;
    }
    folder.files.push(file);
  }
  return root;
}
