// The files of a version as a tree; a folder is asked for when it is opened.

import { address, get } from "../../base/api.js";
import { fill, h } from "../../base/dom.js";
import { size } from "../../base/format.js";
import { isPage } from "../files.js";

const PAGE = 500;

export function filesPart({ own, found }) {
  const tree = h("div.tree", {});
  const element = h("section.card.files", { "aria-label": "Files" }, tree);
  if (found.files === 0) fill(tree, h("p.quiet", {}, "This version has no files."));
  else open(tree, own, "");
  return element;
}

/** Fills `place` with what lies in a folder. */
async function open(place, own, folder) {
  fill(place, h("p.quiet", {}, "Loading …"));
  try {
    const answer = await get(`${own}/files`, { folder: folder || null, first: PAGE });
    const list = h("ul", {}, answer.folders.map((each) => folderItem(own, folder, each)), answer.files.map((each) => fileItem(own, folder, each)));
    fill(place, list);
    if (answer.count > answer.files.length) place.append(moreButton(list, own, folder, answer));
  } catch (error) {
    fill(place, h("p.fault", { role: "alert" }, error.message));
  }
}

function folderItem(own, above, { name, files, size: bytes }) {
  const place = h("div", {});
  const details = h("details", {},
    h("summary", {}, h("span.name", {}, `${name}/`), h("span.quiet", {}, `${files} ${files === 1 ? "file" : "files"}`), h("span.size", {}, size(bytes))), place);
  details.addEventListener("toggle", () => details.open && !place.childElementCount && open(place, own, above + (above ? "/" : "") + name));
  return h("li", {}, details);
}

function fileItem(own, folder, { name, size: bytes, ref }) {
  const short = folder ? name.slice(folder.length + 1) : name;
  if (ref !== null) {
    const isWeb = /^https?:/i.test(ref);
    return h("li.file", {}, h("span.name", {}, short), h("span.quiet.ref", {}, "reference to ", isWeb ? h("a", { href: ref, rel: "noopener noreferrer", target: "_blank" }, ref) : h("code", {}, ref)), h("span.size", {}, size(bytes)));
  }
  return h("li.file", {},
    h("a.name", { href: address(`${own}/file`, { name, rendered: isPage(name, bytes) ? 1 : null }), target: "_blank", rel: "noopener" }, short),
    h("span.size", {}, size(bytes)),
    h("a.get", { href: address(`${own}/file`, { name, download: 1 }), download: "", "aria-label": `Download ${name}`, title: "Download" }, "↓"));
}

function moreButton(list, own, folder, { count, files }) {
  let shown = files.length;
  const title = () => `Show more, ${shown} of ${count}`;
  const click = async () => {
    const answer = await get(`${own}/files`, { folder: folder || null, first: PAGE, from: shown });
    list.append(...answer.files.map((each) => fileItem(own, folder, each)));
    shown += answer.files.length;
    if (shown >= count || !answer.files.length) button.remove();
    else fill(button, title());
  };
  const button = h("button.quiet-button", { type: "button", click }, title());
  return button;
}
