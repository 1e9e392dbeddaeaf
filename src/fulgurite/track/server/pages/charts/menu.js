// What can be done with one chart: its own axis, and taking it away as a file. One menu serves all charts of a board.

import { fill, h } from "../base/dom.js";
import { nameOf } from "./axes.js";
import { csvOf, savePicture, saveText } from "./export.js";
import { placeBelow } from "./settings.js";

export function chartMenu(board) {
  const panel = h("div.popover", { popover: "auto", role: "dialog", "aria-label": "Menu of a chart" });
  let opener = null;
  panel.addEventListener("toggle", (event) => event.newState === "open" && opener && placeBelow(panel, opener));

  const close = () => panel.hidePopover();
  const item = (text, act) => h("button.plain.item", { click: () => (close(), act()) }, text);
  const open = (chart, button) => {
    opener = button;
    fill(panel, h("strong", {}, chart.name), logBox(board, chart), limitFields(board, chart),
      chart === board.full ? null : item("Full screen", () => board.state.set({ chart: chart.key })),
      item("Download CSV", () => saveText(`${chart.name}.csv`, csvOf(chart.shown(), nameOf(chart.view.x)))),
      item("Download PNG", () => chart.drawn && savePicture(`${chart.name}.png`, chart.plot, chart.name)));
    panel.showPopover();
    panel.querySelector("input").focus();
  };
  return {
    element: panel,
    /** Gives a chart its buttons, when it is first in sight: thousands of others need none yet. */
    attach(chart) {
      if (chart.hasMenu) return;
      chart.hasMenu = true;
      const more = h("button.plain.small", { "aria-label": `Menu of ${chart.name}`, title: "Menu", click: () => open(chart, more) }, "⋯");
      const full = h("button.plain.small", { "aria-label": `${chart.name} in full screen`, title: "Full screen", click: () => board.state.set({ chart: chart.key }) }, "⛶");
      chart.element.querySelector("figcaption").append(...(chart.isFull ? [more] : [full, more]));
    },
  };
}

function logBox(board, chart) {
  const change = () => {
    const others = board.state.get("log").filter((key) => key !== chart.key);
    // What is noted is that the chart is other than all are.
    board.state.set({ log: input.checked === board.settings.logy ? others : [...others, chart.key] });
  };
  const input = h("input", { type: "checkbox", checked: board.isLogY(chart.key), change });
  return h("label.check", {}, input, "Logarithmic y");
}

function limitFields(board, chart) {
  const limits = board.limitsOf(chart.key) ?? [null, null];
  const change = () => {
    const others = board.state.get("y").filter((text) => text.slice(text.indexOf(":") + 1) !== chart.key);
    const range = fields.map((field) => field.value.trim()).join("..");
    board.state.set({ y: range === ".." ? others : [...others, `${range}:${chart.key}`] });
  };
  const fields = ["y from", "y to"].map((name, i) => h("input", { type: "number", step: "any", "aria-label": name, value: limits[i], placeholder: "auto", change }));
  return h("div.limits", {}, "y ", fields[0], " to ", fields[1]);
}
