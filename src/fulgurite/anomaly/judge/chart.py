"""Draws an evaluation: one dot a detector, with its interval, ours in colour."""

import os
from collections.abc import Sequence
from typing import Any

from fulgurite.anomaly.judge.evaluation import Evaluation, Line
from fulgurite.base.optional import require

OURS, NORMALISED, RAW = "#c2410c", "#334155", "#94a3b8"


def draw(evaluation: Evaluation, path: str | os.PathLike[str], title: str = "") -> None:
    """Write the lines' VUS-PR with their intervals into a picture file, whose ending says the format.

    Detectors without a VUS-PR are left out. ``title`` stands first in the caption. Needs matplotlib.
    """
    require("matplotlib", "anomaly")
    from matplotlib.figure import Figure  # late: matplotlib is an extra

    lines = [line for line in evaluation.lines() if line.means["vus_pr"] is not None][::-1]
    figure = Figure(figsize=(8, 1.2 + 0.27 * len(lines)), layout="constrained")
    axes = figure.subplots()
    for place, line in enumerate(lines):
        _dot(axes, place, line)
    _frame(axes, lines, title)
    figure.savefig(path, dpi=150)


def _dot(axes: Any, place: int, line: Line) -> None:
    colour = {"ours": OURS, "normalised": NORMALISED}.get(line.kind, RAW)
    if line.interval:
        axes.plot(line.interval, (place, place), color=colour, linewidth=2, alpha=0.45, solid_capstyle="round")
    # A hollow dot looks ahead: it can't be had live.
    axes.plot(line.means["vus_pr"], place, "o", color=colour, markerfacecolor=colour if line.causal else "white")


def _frame(axes: Any, lines: Sequence[Line], title: str) -> None:
    axes.set_yticks(range(len(lines)), [line.title for line in lines], fontsize=8)
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_color(OURS if line.kind == "ours" else "black")
    axes.set_xlim(left=0)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    files = max((line.covered["vus_pr"] for line in lines), default=0)
    said = title.replace("$", r"\$") + "\n" if title else ""
    axes.set_xlabel(
        f"{said}VUS-PR, mean over {files} file{'s' if files != 1 else ''}, 95 % interval over files\n"
        "* and hollow: looks at later rows. Orange: ours; dark: baseline on its own past; light: baseline as it is",
        fontsize=8,
    )
