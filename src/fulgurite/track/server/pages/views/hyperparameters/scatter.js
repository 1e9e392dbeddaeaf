// The card of the scatter plot: any two columns, coloured by a third.

import { fill, h } from "../../base/dom.js";
import { spansPowers } from "../../charts/parallel.js";
import { scaleLegend } from "../../charts/scale.js";
import { drawScatter } from "../../charts/scatter.js";
import { label } from "./frame.js";
import { brushedRuns } from "./parallel.js";

const FACTS = ["created", "duration", "state", "group", "job_type", "sweep"];

export function scatterCard(context) {
  const { state, settings, results, open } = context;
  const [plot, legend, note] = [h("div", {}), h("div", {}), h("p.quiet", {})];
  const names = [...settings, ...results, ...FACTS];
  const pick = (title, key, none) => {
    const select = h("select", { change: () => state.set({ [key]: select.value }) }, none ? h("option", { value: "" }, none) : null, names.map((name) => h("option", { value: name }, label(name))));
    return { select, element: h("label", {}, title, select) };
  };
  const tick = (title, key) => {
    const box = h("input", { type: "checkbox", change: () => state.set({ [key]: box.checked }) });
    return { box, element: h("label", {}, box, title) };
  };
  const [across, up, shade] = [pick("x ", "across"), pick("y ", "up"), pick("Colour ", "shade", "none")];
  const [logX, logY, trend] = [tick("log x", "logx"), tick("log y", "logy"), tick("trend", "trend")];
  const element = h("section.card", {}, h("div.tools", {}, h("h2", {}, "Scatter"), [across, logX, up, logY, shade, trend].map((each) => each.element)), legend, note, plot);

  const draw = async (frame) => {
    const chosen = {
      x: names.includes(state.get("across")) ? state.get("across") : (context.axes()[0] ?? results[0]),
      y: names.includes(state.get("up")) ? state.get("up") : context.metric() || settings[0],
      shade: names.includes(state.get("shade")) ? state.get("shade") : "",
    };
    Object.assign(across.select, { value: chosen.x });
    Object.assign(up.select, { value: chosen.y });
    Object.assign(shade.select, { value: chosen.shade });
    for (const [{ box }, key] of [[logX, "logx"], [logY, "logy"], [trend, "trend"]]) box.checked = state.get(key);
    const [xs, ys] = [shown(frame, chosen.x), shown(frame, chosen.y)];
    const shades = chosen.shade ? shown(frame, chosen.shade) : [];
    const kept = brushedRuns(context, frame);
    const points = frame.runs.map((run, i) => ({ x: xs[i], y: ys[i], shade: shades[i], id: run.name, title: run.display_name, kept: kept[i] }))
      .filter((each) => each.kept && each.x !== null && each.y !== null);
    fill(legend, chosen.shade ? scaleLegend(label(chosen.shade), points.map((each) => each.shade)) : null);
    const hint = spansPowers(xs) && !state.get("logx") ? ` ${label(chosen.x)} spans several powers of ten: try log x.` : "";
    fill(note, points.length ? `${points.length} ${points.length === 1 ? "run" : "runs"}.${hint}` : "No chosen run has both.");
    plot.hidden = points.length === 0;
    if (points.length) await drawScatter(plot, points, { xTitle: label(chosen.x), yTitle: label(chosen.y), logX: state.get("logx"), logY: state.get("logy"), trend: state.get("trend") }, open);
  };
  return { element, draw };
}

/** Texts among numbers make all of a column texts: an axis is of one kind. */
function shown(frame, name) {
  const values = frame.values(name);
  return values.some((each) => typeof each === "string") ? values.map((each) => (each === null ? null : String(each))) : values;
}
