// One chart as large as the window. Its address is that of the page with `chart=KEY`.

import { fill, h } from "../base/dom.js";
import { Chart } from "./chart.js";

export function fullScreen(board) {
  const close = h("button", { click: () => dialog.close() }, "Close");
  const place = h("div.whole", {});
  const legend = h("div.legend", {});
  const dialog = h("dialog.full", { "aria-label": "One chart", close: () => board.state.get("chart") && board.state.set({ chart: "" }) }, close, place, legend);
  const widths = new ResizeObserver(() => board.full?.look && board.full.look.width !== board.full.plot.clientWidth && board.renew(board.full));

  const leave = () => {
    if (window.Plotly) board.full.release(window.Plotly);
    widths.disconnect();
    board.full.inSight = false;
    board.full = null;
    place.replaceChildren();
  };
  return {
    element: dialog,
    /** Shows the chart that the address names, as soon as it is known, or none. */
    update() {
      fill(legend, board.series.length > 1 ? board.series.map(entry) : []);
      const key = board.settings.chart;
      if (board.full && board.full.key !== key) leave();
      if (!key || !board.charts.has(key)) return void (dialog.open && !key && dialog.close());
      if (board.full || !dialog.isConnected) return;
      const chart = new Chart(board.charts.get(key).about, board);
      chart.isFull = true;
      board.full = chart;
      place.replaceChildren(chart.element);
      if (!dialog.open) dialog.showModal();
      board.menu.attach(chart);
      chart.inSight = true;
      widths.observe(chart.plot);
      board.renew(chart, true);
    },
  };
}

function entry({ title, colour }) {
  const swatch = h("i.swatch", {});
  swatch.style.background = colour;
  return h("span", {}, swatch, title);
}
