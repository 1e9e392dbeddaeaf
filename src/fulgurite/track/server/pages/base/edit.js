// Small editors that open beside what they change: one text, or a set of tags.

import { fill, h } from "./dom.js";
import { openAt } from "./menu.js";

const OFFERED = 12; // tags

/** Edits one text; several lines with `long`. `save` gets the new text and may be refused, which is told in place. */
export function editText(anchor, { label, value, long = false, known = [], save }) {
  const list = known.length ? `known-${label.replaceAll(/\W/g, "")}` : null;
  const field = long
    ? h("textarea", { rows: 5, autofocus: true, "aria-label": label }, value ?? "")
    : h("input", { value: value ?? "", autofocus: true, "aria-label": label, autocomplete: "off", list });
  const fault = h("p.fault", { role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await save(field.value);
      element.hidePopover();
    } catch (error) {
      fill(fault, error.message);
    }
  };
  const form = h("form.editor", { submit },
    h("strong", {}, label), field,
    list ? h("datalist", { id: list }, known.map((each) => h("option", { value: each }))) : null,
    h("div.buttons", {}, h("button.main", {}, "Save"), h("button", { type: "button", click: () => element.hidePopover() }, "Cancel")),
    fault,
  );
  form.addEventListener("keydown", (event) => {
    if (long && event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  const element = openAt(anchor, form, { label });
  field.select?.();
  return element;
}

/**
 * Edits a set of tags; each change is saved at once. `known` are tags to choose from. `change(add, remove)` may be
 * refused. Tags of which only some things have one are in `some`.
 */
export function editTags(anchor, { label, tags, some = [], known, change }) {
  const has = new Set(tags);
  const partly = new Set(some.filter((tag) => !has.has(tag)));
  const fault = h("p.fault", { role: "alert" });
  const field = h("input", { autofocus: true, placeholder: "Find or add a tag", "aria-label": `${label}: find or add a tag`, autocomplete: "off", input: () => draw() });
  const choices = h("div.choices", { role: "group", "aria-label": label });
  const set = async (tag, wanted) => {
    try {
      await change(wanted ? [tag] : [], wanted ? [] : [tag]);
      wanted ? has.add(tag) : has.delete(tag);
      partly.delete(tag);
      fill(fault);
    } catch (error) {
      fill(fault, error.message);
    }
    draw();
  };
  const choice = (tag) => {
    const box = h("input", { type: "checkbox", checked: has.has(tag), change: () => set(tag, box.checked) });
    box.indeterminate = partly.has(tag);
    return h("label", {}, box, tag);
  };
  const draw = () => {
    const word = field.value.trim();
    const all = [...new Set([...has, ...partly, ...known])];
    const fitting = all.filter((tag) => tag.toLowerCase().includes(word.toLowerCase()));
    const fresh = word && !all.includes(word) ? h("button.add", { type: "button", click: add }, `Add “${word}”`) : null;
    fill(choices, fitting.slice(0, Math.max(OFFERED, has.size)).map(choice), fresh, all.length || word ? null : h("p.quiet", {}, "There are no tags yet."));
  };
  const add = () => {
    const word = field.value.trim();
    field.value = "";
    if (word) set(word, true);
    field.focus();
  };
  const submit = (event) => {
    event.preventDefault();
    add();
  };
  draw();
  return openAt(anchor, h("form.editor", { submit }, h("strong", {}, label), field, choices, fault), { label });
}
