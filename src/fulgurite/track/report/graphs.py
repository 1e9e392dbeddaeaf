"""The charts' part of the page: pictures, or places and data for the script that draws there."""

from collections.abc import Callable, Sequence
from typing import Any

from fulgurite.track.report.lines import Chart, Charts, Line
from fulgurite.track.report.markup import Markup, h, json_script
from fulgurite.track.report.pictures import Drawn
from fulgurite.track.report.sheets import swatch, title_of
from fulgurite.track.report.words import counted
from fulgurite.track.store.runs import Run


def interactive(found: Charts, runs: Sequence[Run]) -> Markup:
    """Charts that the script draws, and tools for all of them."""
    if not found.drawn:
        return nothing()
    numbers = iter(range(len(found.drawn)))

    def place(chart: Chart) -> Markup:
        told = f"{chart.name} over the steps, {counted(len(chart.lines), 'run')}"
        return h("div", kind="plot", role="img", aria_label=told, data_chart=next(numbers))

    data = {
        "runs": [title_of(run) for run in runs],
        "charts": [[_line(line) for line in chart.lines] for chart in found.drawn],
    }
    without = h("noscript", h("p", "The charts need JavaScript; all else does not.", kind="note"))
    drawn = _groups(found, place)
    return h("section", h("h2", "Charts"), _tools(runs), without, drawn, json_script(data, id="data"))


def static(found: Charts, runs: Sequence[Run]) -> Markup:
    """Charts as pictures."""
    if not found.drawn:
        return nothing()
    legend = [h("span", swatch(i), " ", title_of(run), kind="run") for i, run in enumerate(runs)]
    tools = h("div", legend, kind="tools") if len(runs) > 1 else None
    return h("section", h("h2", "Charts"), tools, _groups(found, Drawn().picture))


def nothing() -> Markup:
    return h("section", h("h2", "Charts"), h("p", "No numbers were logged.", kind="quiet"))


def _tools(runs: Sequence[Run]) -> Markup:
    slider = h("input", id="smooth", type="range", min="0", max="0.99", step="0.01", value="0")
    boxes = [
        h("label", h("input", type="checkbox", checked=True, data_run=i), swatch(i), " ", title_of(run), kind="run")
        for i, run in enumerate(runs if len(runs) > 1 else [])
    ]
    return h(
        "div",
        h("label", "Smoothing ", slider),
        h("label", h("input", id="log", type="checkbox"), " logarithmic"),
        h("button", "Whole range", id="reset", type="button"),
        boxes,
        kind="tools",
    )


def _groups(found: Charts, draw: Callable[[Chart], Markup]) -> list[Markup]:
    """The charts under what stands before the first slash of their names."""
    groups: dict[str, list[Markup]] = {}
    for chart in found.drawn:
        card = h("figure", h("figcaption", chart.name, title=chart.name), draw(chart), kind="card chart")
        groups.setdefault(chart.group, []).append(card)
    shown = [_group(name, cards, len(groups) == 1) for name, cards in groups.items()]
    if found.left_out:
        shown.append(h("p", f"{counted(found.left_out, 'more metric')} left out. Choose with --key.", kind="quiet"))
    return shown


def _group(name: str, cards: list[Markup], alone: bool) -> Markup:
    grid = h("div", cards, kind="charts")
    if alone:
        return grid
    label = h("summary", name or "charts", h("span", f" {len(cards)}", kind="quiet"))
    return h("details", label, grid, open=True)


def _line(line: Line) -> dict[str, Any]:
    given = {"run": line.run, "x": line.x, "last": line.last, "low": line.low, "high": line.high}
    return {name: value for name, value in given.items() if value is not None}
