// What opens above the page beside something: menus and small forms. Escape and a click elsewhere close it.

import { h } from "./dom.js";

const GAP = 4; // pixels between it and what it belongs to, and to the window's edge
let number = 0;

/**
 * Opens `content` beside `anchor`, an element or a rectangle. The focus goes to what has `autofocus` in it, or else to it
 * itself, and back when it closes. Returns the element; `element.hidePopover()` closes it. `closed` hears when it is.
 */
export function openAt(anchor, content, { label, kind = "dialog", closed = null }) {
  const before = document.activeElement;
  const element = h("div.pop", { role: kind, "aria-label": label, popover: "auto", tabindex: -1, id: `popover-${++number}` }, content);
  (document.getElementById("view") ?? document.body).append(element);
  element.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    const lost = document.activeElement === document.body || element.contains(document.activeElement);
    element.remove();
    if (lost && before?.isConnected) before.focus({ preventScroll: true });
    closed?.();
  });
  element.showPopover();
  place(element, anchor);
  new ResizeObserver(() => place(element, anchor)).observe(element);
  (element.querySelector("[autofocus]") ?? element).focus({ preventScroll: true });
  return element;
}

/** A menu. Each item is `{title, act}` or `{title, href}`, with `checked`, `danger`, `disabled`; null is a line between. */
export function openMenu(anchor, label, items) {
  const entries = items.map((item) => (item === null ? h("hr", {}) : entry(item, () => element.hidePopover())));
  const element = openAt(anchor, entries, { label, kind: "menu" });
  element.classList.add("menu");
  const focusable = () => [...element.querySelectorAll("[role^=menuitem]:not([disabled])")];
  focusable()[0]?.focus();
  element.addEventListener("keydown", (event) => {
    const all = focusable();
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) all.at(to % all.length).focus();
    else if (event.key === "Tab") element.hidePopover();
    else if (event.key.length === 1) all.find((each) => each.textContent.toLowerCase().startsWith(event.key.toLowerCase()))?.focus();
    if (to !== undefined) event.preventDefault();
  });
  return element;
}

function entry({ title, act, href, target = null, download = null, checked = null, danger = false, disabled = false }, close) {
  const role = checked === null ? "menuitem" : "menuitemcheckbox";
  const properties = { role, "aria-checked": checked === null ? null : String(checked), tabindex: -1 };
  const mark = h("span.mark", { "aria-hidden": "true" }, checked ? "✓" : "");
  if (href) return h("a.entry", { ...properties, href, target, download, click: close }, mark, title);
  const click = () => {
    close();
    act();
  };
  return h(danger ? "button.entry.danger" : "button.entry", { ...properties, type: "button", disabled, click }, mark, title);
}

/** Below its anchor where there is room, else above it, and never beyond the window's edge. */
function place(element, anchor) {
  const box = anchor.getBoundingClientRect?.() ?? anchor;
  const { offsetWidth: width, offsetHeight: height } = element;
  const below = box.bottom + GAP + height <= innerHeight || box.top < innerHeight / 2;
  const top = below ? box.bottom + GAP : box.top - GAP - height;
  element.style.left = `${Math.max(GAP, Math.min(box.left, innerWidth - width - GAP))}px`;
  element.style.top = `${Math.max(GAP, Math.min(top, innerHeight - height - GAP))}px`;
}
