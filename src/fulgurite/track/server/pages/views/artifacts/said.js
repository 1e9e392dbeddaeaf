// What people say of an artifact, shown, and changed by who may: its description, aliases and tags.

import { fill, h } from "../../base/dom.js";
import { editTags, editText } from "../../base/edit.js";

/** The description, with a way to change it. `save(text)` may be refused. */
export function description(text, mayWrite, save) {
  const element = h("div.said", {});
  const draw = (now) => {
    const edit = async (changed) => {
      await save(changed);
      draw(changed);
    };
    const open = (event) => editText(event.currentTarget, { label: "Description", value: now, long: true, save: edit });
    const button = (title) => h("button.quiet-button", { type: "button", "aria-label": "Edit the description of the artifact", click: open }, title);
    fill(element, now ? [h("p.notes", {}, now), mayWrite ? button("✎") : null] : mayWrite ? button("Add a description") : null);
  };
  draw(text ?? "");
  return element;
}

/**
 * Words such as tags as chips, with a way to change them. `save(words)` returns what they are then. `fixed` can't be taken
 * away; `known` are words to choose from.
 */
export function words(title, all, { mayWrite, save, kind = "tag", fixed = [], known = [] }) {
  const element = h("div.words", {});
  let now = all;
  const change = async (add, remove) => {
    if (remove.some((each) => fixed.includes(each))) throw new Error(`${remove[0]} always points at a version: give it to another one instead.`);
    now = await save([...now.filter((each) => !remove.includes(each)), ...add]);
    draw();
  };
  const open = (event) => editTags(event.currentTarget, { label: title, tags: now, known, change });
  const draw = () => {
    const button = element.querySelector("button") ?? h("button.quiet-button", { type: "button", "aria-label": `Edit the ${title.toLowerCase()}`, click: open }, "✎");
    fill(element, h("span.quiet", {}, title), now.length ? now.map((each) => h(`span.tag.${kind}`, {}, each)) : h("span.quiet", {}, "none"), mayWrite ? button : null);
  };
  draw();
  return element;
}
