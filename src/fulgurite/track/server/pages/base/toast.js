// Short messages at the window's edge, with a way back where there is one.

import { h } from "./dom.js";

const SHOWN = 8; // seconds
const FAULT = 15;

/** Tells `message`; `undo` is what a button "Undo" does. It stays while the pointer or the focus is on it. */
export function toast(message, { undo = null, fault = false } = {}) {
  const close = () => element.remove();
  const again = async () => {
    close();
    await attempt(undo);
  };
  const element = h(fault ? "div.toast.fault" : "div.toast", { role: fault ? "alert" : null },
    h("span", {}, message),
    undo ? h("button", { type: "button", click: again }, "Undo") : null,
    h("button.plain", { type: "button", "aria-label": "Close this message", click: close }, "×"),
  );
  let timer = null;
  const leave = () => (timer = setTimeout(close, (fault ? FAULT : SHOWN) * 1000));
  for (const name of ["pointerenter", "focusin"]) element.addEventListener(name, () => clearTimeout(timer));
  for (const name of ["pointerleave", "focusout"]) element.addEventListener(name, leave);
  leave();
  region().append(element);
}

/** Does `act` and tells its failure. Returns whether it went well. */
export async function attempt(act) {
  try {
    await act();
    return true;
  } catch (error) {
    toast(error.status ? error.message : `This did not work: ${error.message}`, { fault: true });
    return false;
  }
}

function region() {
  const known = document.getElementById("toasts");
  if (known) return known;
  const made = h("div", { id: "toasts", role: "status", "aria-live": "polite" });
  document.body.append(made);
  return made;
}
