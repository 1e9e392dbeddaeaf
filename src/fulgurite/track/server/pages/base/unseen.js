// Which alerts of a project have been seen in this browser, and a mark where there are new ones.

import { get, pathOf } from "./api.js";
import { h } from "./dom.js";
import { every } from "./poll.js";

const SECONDS = 15;

/** The id of the last alert that was seen; those of a project that is looked at for the first time count as seen. */
export function seenLast(entity, project) {
  const kept = localStorage.getItem(key(entity, project));
  return kept === null ? Infinity : Number(kept);
}

export function markSeen(entity, project, last) {
  try {
    localStorage.setItem(key(entity, project), last);
  } catch {
    // It is full or forbidden: then all are as new as before.
  }
}

/** Shows beside `link`, as long as it is on the page, how many alerts have come since they were last looked at. */
export function markUnseen(link, entity, project) {
  const mark = h("span.unseen", { hidden: true });
  link.append(mark);
  const look = async () => {
    const seen = seenLast(entity, project);
    const { fresh, last } = await get(`${pathOf(entity, project)}/alerts`, { first: 0, after: seen === Infinity ? null : seen });
    if (seen === Infinity) markSeen(entity, project, last);
    const count = seen === Infinity || link.getAttribute("aria-current") ? 0 : fresh;
    mark.hidden = count === 0;
    mark.replaceChildren(String(count), h("span.skip", {}, " new"));
  };
  // The page is of use without it: what is wrong with the project is told by its view.
  every(SECONDS, look).catch(() => {});
}

function key(entity, project) {
  return `alerts seen ${entity}/${project}`;
}
