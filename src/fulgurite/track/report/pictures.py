"""Charts as pictures, for a page without scripts."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from fulgurite.base.optional import require
from fulgurite.track.report.lines import Chart
from fulgurite.track.report.markup import Markup, h
from fulgurite.track.report.words import counted

# Each can be told from white and from a dark ground; page/report.css and page/report.js have the same.
COLOURS = (
    "#6b5ce0", "#d9730d", "#1a9a6c", "#d6457a", "#2f8fd0", "#a8820a", "#9a5bd0", "#c0504d", "#4f8f2f", "#708090",
)  # fmt: skip
DASHES = ("-", "--", ":")
QUIET = "#767485"  # read on white and on a dark ground


class Drawn:
    """Draws charts with matplotlib. Raises ``MissingExtra`` if it is not there."""

    def __init__(self) -> None:
        self._matplotlib = require("matplotlib", "plot")

    def picture(self, chart: Chart) -> Markup:
        """An SVG without a ground of its own."""
        figure = require("matplotlib.figure", "plot").Figure(figsize=(4.6, 2.5), layout="constrained")
        axes = figure.subplots()
        for line in chart.lines:
            colour, dash = COLOURS[line.run % len(COLOURS)], DASHES[line.run // len(COLOURS) % len(DASHES)]
            if line.low is not None and line.high is not None:
                axes.fill_between(line.x, _numbers(line.low), _numbers(line.high), color=colour, alpha=0.2, linewidth=0)
            single = "o" if len(line.x) == 1 else None
            axes.plot(line.x, _numbers(line.last), dash, color=colour, linewidth=1.3, marker=single)
        axes.tick_params(colors=QUIET, labelsize=8)
        axes.grid(color=QUIET, alpha=0.2)
        axes.spines[:].set_visible(False)
        buffer = io.BytesIO()
        with self._matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        told = f"{chart.name} over the steps, {counted(len(chart.lines), 'run')}"
        address = f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
        return h("img", src=address, alt=told, kind="drawn")


def _numbers(values: Sequence[float | None]) -> list[Any]:
    return [float("nan") if value is None else value for value in values]
