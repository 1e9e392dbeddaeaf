// What lies along x: which axes there are, what they are called, and in which unit they are shown.

/** The axes that are offered before any key, by what a request names them. */
export const AXES = { _step: "step", _runtime: "relative time", _timestamp: "wall time" };

/** How the axis `x` is drawn: `scale` makes what Plotly shows of what the server tells; `longest` is the largest x there. */
export function axisOf(x, stream, longest) {
  // The system's series stand at milliseconds, the run's own time is told in seconds; Plotly wants milliseconds.
  if (stream === "system") return { isTime: true, scale: 1, xTitle: "" };
  if (x === "_timestamp") return { isTime: true, scale: 1000, xTitle: "" };
  if (x !== "_runtime") return { isTime: false, scale: 1, xTitle: AXES[x] ?? nameOf(x) };
  const [scale, unit] = longest > 7200 ? [1 / 3600, "hours"] : longest > 300 ? [1 / 60, "minutes"] : [1, "seconds"];
  return { isTime: false, scale, xTitle: `${unit} since the start` };
}

/** How people write the key: nested names with dots. */
export function nameOf(key) {
  return key.replaceAll("\x1f", ".");
}
