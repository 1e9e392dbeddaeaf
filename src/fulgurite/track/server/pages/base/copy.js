// Puts texts into the clipboard.

import { h } from "./dom.js";

const TOLD = 1500; // milliseconds for which a button says that it has copied

/** A button that copies what `text()` gives; `what` names it for who can't see it. */
export function copyButton(what, text, label = "Copy") {
  const button = h("button.plain.copy", { type: "button", title: `Copy ${what}`, "aria-label": `Copy ${what}` }, label);
  button.addEventListener("click", async () => {
    const done = await copy(text());
    button.replaceChildren(done ? "Copied" : "Can't copy");
    setTimeout(() => button.replaceChildren(label), TOLD);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers lend the clipboard only to pages of this machine or with a certificate.
    const field = h("textarea", { readonly: true, class: "skip" });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
