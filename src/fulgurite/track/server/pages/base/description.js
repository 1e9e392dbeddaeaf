// What a project is about, in its own words, below its name.

import { get, send } from "./api.js";
import { fill, h } from "./dom.js";
import { editText } from "./edit.js";

/** The description of the project at an API path, with a way to change it for who may. */
export function description(path, mayWrite) {
  const element = h("div", {});
  const edit = (anchor, value) => {
    const save = async (text) => {
      await send("PATCH", path, { description: text });
      draw(text);
    };
    editText(anchor, { label: "Description of the project", value, long: true, save });
  };
  const draw = (text) => {
    const button = (title) => h("button.quiet-button", { type: "button", click: (event) => edit(event.currentTarget, text), "aria-label": "Edit the description" }, title);
    fill(element, text ? h("p.description.quiet", {}, text, mayWrite ? button("✎") : null) : mayWrite ? button("Add a description") : null);
  };
  // The page is of use without it: a project that is not there is told by the view below.
  get(path).then((project) => draw(project.description ?? ""), () => {});
  return element;
}
