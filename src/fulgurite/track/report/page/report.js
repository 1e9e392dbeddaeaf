// Draws charts and figures of a report when they come into sight, and follows the tools above the charts.

/** Calls `draw` when a place comes into sight for the first time, and on paper, where everything is in sight. */
function whenSeen(places, draw) {
  const sight = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        target.inSight = isIntersecting;
        if (isIntersecting && !target.drawn) draw(target);
      }
    },
    { rootMargin: "400px" },
  );
  for (const place of places) sight.observe(place);
  addEventListener("beforeprint", () => places.forEach((place) => place.drawn || draw(place)));
}

function showCharts({ runs, charts }) {
  const COLOURS = ["#6b5ce0", "#d9730d", "#1a9a6c", "#d6457a", "#2f8fd0", "#a8820a", "#9a5bd0", "#c0504d", "#4f8f2f", "#708090"];
  const DASHES = ["solid", "dash", "dot"];
  const FEW = 40; // points that are drawn as points, too
  const TOGETHER = 12; // lines that are told in one box
  const places = [...document.querySelectorAll(".plot")];
  const smooth = document.getElementById("smooth");
  const log = document.getElementById("log");
  const boxes = [...document.querySelectorAll("[data-run]")];
  const touch = matchMedia("(pointer: coarse)").matches;

  // Plotly reads a few HTML tags in names; here they are to be seen as they are.
  const asText = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const hidden = (run) => boxes.length > 0 && !boxes[run].checked;

  function smoothed(values, weight) {
    let mean = 0;
    let share = 0;
    return values.map((value) => {
      if (value === null) return null;
      mean = weight * mean + (1 - weight) * value;
      share = weight * share + (1 - weight);
      return mean / share;
    });
  }

  function traces({ run, x, last, low, high }) {
    const weight = Number(smooth.value);
    const colour = COLOURS[run % COLOURS.length];
    const name = asText(runs[run]);
    const bare = { x, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    const drawn = low ? [{ ...bare, y: low }, { ...bare, y: high, fill: "tonexty", fillcolor: colour + "33" }] : [];
    const line = { color: colour, width: 1.6, dash: DASHES[Math.floor(run / COLOURS.length) % DASHES.length] };
    if (weight > 0) drawn.push({ ...bare, y: last, line: { ...line, width: 1 }, opacity: 0.3 });
    const mode = x.length <= FEW ? "lines+markers" : "lines";
    return [...drawn, { x, y: weight > 0 ? smoothed(last, weight) : last, name, mode, line, marker: { size: 5 } }];
  }

  /** Around a value that never changes Plotly would draw from one below to one above it, where 0.001 looks like 0. */
  function range(lines) {
    const values = new Set(lines.flatMap((line) => [...line.last, ...(line.low ?? []), ...(line.high ?? [])]));
    values.delete(null);
    const [value] = values;
    return values.size === 1 && value !== 0 && !log.checked ? [0, 2 * value].sort((a, b) => a - b) : undefined;
  }

  function draw(place) {
    const lines = charts[place.dataset.chart].filter((line) => !hidden(line.run));
    const axis = { zeroline: false, automargin: true, fixedrange: touch };
    const layout = {
      height: 220, margin: { l: 48, r: 12, t: 6, b: 30 }, showlegend: false, dragmode: touch ? false : "zoom",
      hovermode: lines.length <= TOGETHER ? "x unified" : "closest",
      paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { size: 11, family: "inherit" },
      xaxis: axis, yaxis: { ...axis, fixedrange: true, type: log.checked ? "log" : "linear", range: range(lines) },
      uirevision: "kept",
    };
    Plotly.react(place, lines.flatMap(traces), layout, { displayModeBar: false, responsive: true, doubleClick: "autosize" });
    place.drawn = true;
  }

  const redraw = () => {
    for (const place of places) {
      place.drawn = false;
      if (place.inSight) draw(place);
    }
  };
  whenSeen(places, draw);
  for (const tool of [log, ...boxes]) tool.addEventListener("change", redraw);
  smooth.addEventListener("input", redraw);
  document.getElementById("reset").addEventListener("click", () => {
    for (const place of places) if (place.drawn) Plotly.relayout(place, { "xaxis.autorange": true });
  });
}

/** A figure that somebody logged, at the width that there is. */
function showFigure(place) {
  const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
  Plotly.newPlot(place, data, { ...layout, width: undefined, autosize: true }, { displayModeBar: false, responsive: true });
  place.drawn = true;
}

const data = document.getElementById("data");
if (data) showCharts(JSON.parse(data.textContent));
whenSeen([...document.querySelectorAll(".figure")], showFigure);
