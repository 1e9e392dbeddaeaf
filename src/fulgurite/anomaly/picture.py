"""The scored rows as a picture: the series in its expected band, the events, and below them the score."""

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fulgurite.anomaly.events import Event
from fulgurite.anomaly.rows import Rows, Spans, alone, drawable
from fulgurite.anomaly.words import counted, moment, percent, short
from fulgurite.base.errors import DataError
from fulgurite.base.optional import require
from fulgurite.base.paths import atomic_write

# Okabe and Ito's colours, which the colour-blind tell apart; what is usual stays grey and blue.
INK, SERIES, BAND, EXPECTED = "#3b4754", "#27384a", "#a9cce8", "#4a90c2"
FLAG, EVENT, SCORE, KNOWN, GRID, FAINT, LEARNED = (
    "#d55e00",
    "#f2b48a",
    "#5c6b7a",
    "#009e73",
    "#e6e9ec",
    "#6b7783",
    "#f1f3f5",
)
COLUMNS = 1_500
YEARS = np.array(["0001-01-02", "9999-12-31"], "datetime64[us]")
MOST_NUMBERS = 30
SMALLEST = 0.003
LARGEST = 1e300
"""Of numbers beyond, matplotlib can't take differences."""


@dataclass(frozen=True)
class Scene:
    """What a picture shows. A ``level`` of NaN is no threshold.

    ``known`` (first and last time each) are the anomalies that are known, in a strip of their own. Rows before
    ``begin`` were learned from, and are shown as such. Raises ``DataError`` where there are no rows.
    """

    rows: Rows
    events: Sequence[Event]
    level: float
    title: str = ""
    caption: str = ""
    known: Spans = ()
    begin: np.datetime64 | None = None

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise DataError(f"There are no rows of {self.rows.name!r} to draw. Score a file that has some.")

    @property
    def heading(self) -> str:
        return self.title or self.rows.name

    @property
    def outline(self) -> str:
        """Rows, their time, events and flagged rows in a line."""
        rows, begin = self.rows, self.begin
        flags = rows.flags if begin is None else rows.flags[rows.time >= rows.place(begin)]
        flagged = counted(flags.sum(), "row") if begin is None else f"{flags.sum():,} of {counted(len(flags), 'row')}"
        share = percent(flags.mean()) if len(flags) else "none scored"
        return (
            f"{counted(len(rows), 'row')}, {moment(rows.time[0])} to {moment(rows.time[-1])}   ·   "
            f"{counted(len(self.events), 'event')}, {flagged} flagged ({share})"
        )


def draw_png(scene: Scene, path: str | os.PathLike[str]) -> None:
    """Draw the scene into a PNG: value, band and flags above, score and threshold below; events are shaded."""
    require("matplotlib", "anomaly")
    from matplotlib.figure import Figure

    rows = scene.rows
    shown, note = drawable(rows, COLUMNS)
    shown = _within_reach(shown)
    figure = Figure(figsize=(12, 6.4 if scene.known else 6.0), dpi=150, facecolor="white")
    heights = [3.2, 1.5, 0.28][: 3 if scene.known else 2]
    axes = figure.subplots(len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights, "hspace": 0.09})
    figure.subplots_adjust(left=0.065, right=0.985, top=0.85, bottom=0.115)
    _draw_value(axes[0], shown, rows.name)
    _draw_score(axes[1], shown, scene.level)
    _shade(axes[:2], rows, scene.events)
    if scene.begin is not None:
        _shade_learned(axes[:2], rows, scene.begin)
    if scene.known:
        _draw_known(axes[2], rows, scene.known)
    _letter(axes, rows)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="upper right", bbox_to_anchor=(0.985, 0.985), ncols=4,
                  frameon=False, fontsize=8.5, labelcolor=INK, handlelength=1.6, columnspacing=1.6)  # fmt: skip
    heading = _plain(short(scene.heading, 70))
    figure.text(0.065, 0.958, heading, fontsize=13, fontweight="bold", color=INK, va="center")
    figure.text(0.065, 0.912, scene.outline, fontsize=9, color=FAINT, va="center")
    below = textwrap.fill(" ".join(filter(None, [scene.caption, note])), 185)
    figure.text(0.065, 0.012, _plain(below), fontsize=8, color=FAINT, va="bottom")
    with atomic_write(path) as file:
        figure.savefig(file, format="png")


def _within_reach(rows: Rows) -> Rows:
    drawn = {name: getattr(rows, name) for name in ("value", "expected", "low", "high", "score")}
    return replace(rows, **{name: np.clip(numbers, -LARGEST, LARGEST) for name, numbers in drawn.items()})


def _draw_value(axis: Any, rows: Rows, name: str) -> None:
    x = _places(rows, rows.time)
    axis.fill_between(x, rows.low, rows.high, color=BAND, alpha=0.55, linewidth=0, label="expected band")
    axis.plot(x, rows.expected, color=EXPECTED, linewidth=0.7, alpha=0.9, label="expected")
    axis.plot(x, rows.value, color=SERIES, linewidth=0.8, label=_plain(short(name, 30)))
    single = alone(rows.value)
    axis.plot(x[single], rows.value[single], ".", color=SERIES, markersize=2)
    axis.plot(
        x[rows.flags], rows.value[rows.flags], "o", color=FLAG, markersize=3.2, markeredgewidth=0, label="flagged"
    )
    axis.set_ylim(*_limits(rows))
    axis.set_ylabel(_plain(short(name, 40)), color=INK)


def _draw_score(axis: Any, rows: Rows, level: float) -> None:
    from matplotlib.patches import Rectangle

    x = _places(rows, rows.time)
    axis.plot(x, rows.score, color=SCORE, linewidth=0.8)
    single = alone(rows.score)
    axis.plot(x[single], rows.score[single], ".", color=SCORE, markersize=2)
    axis.set_ylabel("score", color=INK)
    if not np.isfinite(level):
        return
    axis.axhline(level, color=FLAG, linewidth=1, linestyle=(0, (5, 3)))
    (above,) = axis.plot(x, rows.score, color=FLAG, linewidth=1.1)
    top = 10 * np.abs(np.append(rows.score[np.isfinite(rows.score)], level)).max()
    above.set_clip_path(Rectangle((0, level), 1, top, transform=axis.get_yaxis_transform()))
    axis.annotate(f"threshold {level:.4g}", (0.004, level), (0, 3), xycoords=("axes fraction", "data"),
                  textcoords="offset points", color=FLAG, fontsize=8)  # fmt: skip
    if level > 0 and top > 300 * level:
        axis.set_yscale("symlog", linthresh=level)


def _shade(axes: Sequence[Any], rows: Rows, events: Sequence[Event]) -> None:
    """Colour the events, none narrower than can be seen, and number them where the numbers have room."""
    bars = _bars(rows, [(event.start, event.end) for event in events])
    for axis in axes:
        axis.broken_barh(
            bars, (0, 1), transform=axis.get_xaxis_transform(), color=EVENT, alpha=0.35, linewidth=0, zorder=0
        )
    last = -np.inf
    room = 4 * SMALLEST * _width(rows)
    for number, (start, width) in enumerate(bars[:MOST_NUMBERS], start=1):
        if start - last > room:
            axes[0].annotate(str(number), (start + width / 2, 1), (0, 2), xycoords=axes[0].get_xaxis_transform(),
                             textcoords="offset points", ha="center", color=FLAG, fontsize=8)  # fmt: skip
            last = start


def _shade_learned(axes: Sequence[Any], rows: Rows, begin: np.datetime64) -> None:
    first, edge = _places(rows, np.array([rows.time[0], rows.place(begin)]))
    for axis in axes:
        axis.axvspan(first, edge, color=LEARNED, linewidth=0, zorder=-1)
    axes[0].annotate("learned from", (first, 1), (5, -5), xycoords=axes[0].get_xaxis_transform(), va="top",
                     textcoords="offset points", color=FAINT, fontsize=8.5)  # fmt: skip


def _draw_known(axis: Any, rows: Rows, known: Spans) -> None:
    bars = _bars(rows, known)
    axis.broken_barh(bars, (0.15, 0.7), color=KNOWN, linewidth=0)
    axis.set_ylim(0, 1)
    axis.set_yticks([])
    axis.set_ylabel("known", color=INK, rotation=0, ha="right", va="center")


def _letter(axes: Sequence[Any], rows: Rows) -> None:
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color("#b4bcc4")
        axis.tick_params(colors=INK, labelsize=8.5, length=3)
        axis.grid(color=GRID, linewidth=0.7)
        axis.set_axisbelow(True)
        axis.margins(x=0.005)
    _count_time(axes[-1], rows)
    axes[0].figure.align_ylabels(axes[:2])


def _count_time(axis: Any, rows: Rows) -> None:
    if not rows.clocked:
        axis.set_xlabel("row", color=INK)
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # The margins may reach into years that a calendar has no number for.
    axis.set_xlim(*np.clip(axis.get_xlim(), *_places(rows, YEARS)))
    locator = AutoDateLocator(minticks=5, maxticks=12)
    axis.xaxis.set_major_locator(locator)
    formats = ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%H:%M:%S"]
    zeros = ["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"]
    axis.xaxis.set_major_formatter(
        ConciseDateFormatter(locator, formats=formats, zero_formats=zeros, show_offset=False)
    )


def _places(rows: Rows, time: np.ndarray) -> np.ndarray:
    """Times as matplotlib's numbers, so that widths can be reckoned with."""
    if not rows.clocked:
        return np.asarray(time, dtype=np.float64)
    from matplotlib.dates import date2num

    return np.asarray(date2num(np.asarray(time, dtype="datetime64[us]")), dtype=np.float64)


def _bars(rows: Rows, spans: Spans) -> list[tuple[float, float]]:
    """Start and width of each span, at least as wide as can be seen."""
    starts, stops = (_places(rows, np.array([rows.place(span[side]) for span in spans])) for side in (0, 1))
    least = SMALLEST * _width(rows)
    widths = np.maximum(stops - starts, least)
    return list(zip(((starts + stops - widths) / 2).tolist(), widths.tolist(), strict=True))


def _width(rows: Rows) -> float:
    first, last = _places(rows, rows.time[[0, -1]])
    return float(last - first) or 1.0


def _limits(rows: Rows) -> tuple[float, float]:
    """From the lowest to the highest value; a band that shoots beyond is cut at its hundredth."""
    edges = [rows.value[np.isfinite(rows.value)]]
    edges += [
        np.quantile(band, [0.01, 0.99])
        for band in (rows.low[np.isfinite(rows.low)], rows.high[np.isfinite(rows.high)])
        if len(band)
    ]
    seen = np.concatenate(edges)
    low, high = (seen.min(), seen.max()) if len(seen) else (0.0, 1.0)
    margin = 0.04 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _plain(text: str) -> str:
    """Text as it stands: a dollar sign begins no formula."""
    return text.replace("$", r"\$")
