"""The picture to look around in: one HTML file that needs no network."""

import html
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fulgurite.anomaly.events import Event
from fulgurite.anomaly.picture import (
    BAND,
    EVENT,
    EXPECTED,
    FAINT,
    FLAG,
    GRID,
    INK,
    KNOWN,
    LEARNED,
    SCORE,
    SERIES,
    Scene,
)
from fulgurite.anomaly.rows import Rows, alone, drawable, spans
from fulgurite.anomaly.words import moment, number, percent
from fulgurite.base.optional import require
from fulgurite.base.paths import atomic_write

COLUMNS = 2_000
MOST_EVENTS = 300
MOST_NEAR = 40
PART_COLUMNS = 8
# Named one by one: the usual bar has a button that sends the picture and its data to a server.
CONFIG = {"displaylogo": False, "responsive": True, "scrollZoom": True, "showSendToCloud": False,
          "modeBarButtons": [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]]}  # fmt: skip


def draw_html(scene: Scene, path: str | os.PathLike[str]) -> None:
    """Draw what `draw_png` draws, to zoom into: a point tells its time, value, expected value, score and parts.

    The events are listed below; a click on one shows it. Of more than 300, those with the highest scores are there.
    """
    rows, events = scene.rows, scene.events
    highest = sorted(events, key=lambda event: -event.score)[:MOST_EVENTS]
    shown, thinned = drawable(rows, COLUMNS, also=_near(rows, highest[:MOST_NEAR]))
    listed = sorted(highest, key=lambda event: event.start)
    left_out = f"Of {len(events):,} events the {MOST_EVENTS} highest are shown." if len(events) > len(listed) else ""
    figure = _figure(shown, replace(scene, events=listed))
    page = PAGE.format(
        title=html.escape(scene.heading),
        outline=html.escape(scene.outline),
        figure=figure.to_html(full_html=False, include_plotlyjs=True, div_id="picture", default_height="620px",
                              config=CONFIG),
        events=_list(listed, rows),
        caption=html.escape(" ".join(filter(None, [scene.caption, thinned, left_out]))),
    )  # fmt: skip
    with atomic_write(path, "w", encoding="utf-8") as file:
        file.write(page)


def _near(rows: Rows, events: Sequence[Event]) -> np.ndarray:
    """Places of rows in and beside events, for whoever looks closely: at most 100 of each."""
    kept = [np.zeros(0, dtype=np.int64)]
    for event in events:
        start, stop = np.searchsorted(rows.time, [rows.place(event.start), rows.place(event.end)])
        kept.append(np.linspace(max(start - 25, 0), min(stop + 25, len(rows) - 1), 100).astype(np.int64))
    return np.concatenate(kept)


def _figure(shown: Rows, scene: Scene) -> Any:
    """The scene with those of its rows that are ``shown``."""
    require("plotly", "anomaly")
    from plotly.subplots import make_subplots

    rows, known = scene.rows, scene.known
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=[0.68, 0.32])
    figure.add_traces(_value_traces(shown), rows=1, cols=1)
    figure.add_traces(_score_traces(shown, scene.level), rows=2, cols=1)
    if scene.begin is not None:
        _shade_learned(figure, rows, scene.begin)
    between = figure.layout.yaxis2.domain[1]
    strip = (between + 0.014, between + 0.036)
    if known:
        figure.add_annotation(text="known", xref="paper", yref="paper", x=-0.005, y=sum(strip) / 2, showarrow=False,
                              xanchor="right", yanchor="middle", font=dict(size=12, color=KNOWN))  # fmt: skip
    figure.update_layout(
        template="plotly_white", margin=dict(l=60, r=20, t=40, b=40), hovermode="closest", dragmode="zoom",
        font=dict(color=INK, family="system-ui, sans-serif"),
        legend=dict(orientation="h", x=0, y=1.1, traceorder="normal"),
        shapes=[*figure.layout.shapes, *_boxes(rows, scene.events, EVENT, (0, 1), 0.4),
                *_boxes(rows, known, KNOWN, strip, 1.0)],
        hoverlabel=dict(bgcolor="white", bordercolor=GRID, font=dict(color=INK, size=12), align="left"),
    )  # fmt: skip
    figure.update_xaxes(gridcolor=GRID, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title_text=_plain(rows.name), row=1, col=1)
    figure.update_yaxes(title_text="score", row=2, col=1)
    return figure


def _shade_learned(figure: Any, rows: Rows, begin: np.datetime64) -> None:
    told = dict(annotation_text="learned from", annotation_position="top left",
                annotation_font=dict(size=12, color=FAINT))  # fmt: skip
    for row in (1, 2):
        figure.add_vrect(x0=_text(rows.time[0]), x1=_place(rows, begin), fillcolor=LEARNED, line_width=0, layer="below",
                         row=row, col=1, **(told if row == 1 else {}))  # fmt: skip


def _value_traces(rows: Rows) -> list[dict[str, Any]]:
    flagged = rows.changed(lambda _, column: column[rows.flags])
    single = rows.changed(lambda _, column: column[alone(rows.value)])
    line = {"type": "scatter", "mode": "lines", "x": _places(rows)}
    dots = {"type": "scatter", "mode": "markers"}
    return [
        _band(rows),
        {**line, "y": _few(rows.expected), "line": {"width": 1, "color": EXPECTED}, "hoverinfo": "skip",
         "name": "expected"},
        {**line, "y": _few(rows.value), "line": {"width": 1.2, "color": SERIES}, "name": _plain(rows.name),
         **_hover(rows)},
        {**dots, "x": _places(single), "y": _few(single.value), "marker": {"size": 3, "color": SERIES},
         "showlegend": False, **_hover(single)},
        {**dots, "x": _places(flagged), "y": _few(flagged.value), "marker": {"size": 6, "color": FLAG},
         "name": "flagged", **_hover(flagged)},
    ]  # fmt: skip


def _band(rows: Rows) -> dict[str, Any]:
    """The band as a shape of its own for each stretch without a hole, there and back again."""
    there = np.isfinite(rows.low) & np.isfinite(rows.high)
    x, hole = _places(rows), np.full(1, np.nan)
    places: list[Any] = []
    edges: list[np.ndarray] = []
    for start, stop in spans(np.arange(len(rows)), there):
        part = slice(start, stop + 1)
        places += [*x[part], *x[part][::-1], None]
        edges += [rows.high[part], rows.low[part][::-1], hole]
    y = _few(np.concatenate([np.zeros(0), *edges]))
    return {"type": "scatter", "mode": "lines", "x": places, "y": y, "line": {"width": 0}, "fill": "toself",
            "fillcolor": _faint(BAND, 0.55), "hoverinfo": "skip", "name": "expected band"}  # fmt: skip


def _score_traces(rows: Rows, level: float) -> list[dict[str, Any]]:
    x = _places(rows)
    line = {"type": "scatter", "mode": "lines"}
    flagged = rows.changed(lambda _, column: column[rows.flags])
    return [
        {**line, "x": x, "y": _few(rows.score), "line": {"width": 1, "color": SCORE}, "showlegend": False,
         **_hover(rows)},
        {**line, "x": x[[0, -1]], "y": [level, level], "line": {"width": 1.2, "color": FLAG, "dash": "dash"},
         "name": f"threshold {level:.4g}", "hoverinfo": "name",
         "visible": bool(np.isfinite(level))},
        {**line, "mode": "markers", "x": _places(flagged), "y": _few(flagged.score), "hoverinfo": "skip",
         "marker": {"size": 4, "color": FLAG}, "showlegend": False},
    ]  # fmt: skip


def _hover(rows: Rows) -> dict[str, Any]:
    """What a point tells; of many parts, those that are the greatest in the whole picture."""
    size = {name: np.nansum(np.abs(part)) for name, part in rows.parts.items()}
    names = sorted(size, key=lambda name: -size[name])[:PART_COLUMNS]
    told = [rows.value, rows.expected, rows.low, rows.high, rows.score, *(rows.parts[name] for name in names)]
    parts = "".join(f"<br>   {_plain(name)} %{{customdata[{5 + place}]:.4~g}}" for place, name in enumerate(names))
    return {
        "customdata": np.column_stack([_few(column) for column in told]),
        "hovertemplate": "<b>%{x}</b><br>value %{customdata[0]:.5~g}<br>expected %{customdata[1]:.5~g}"
        " (%{customdata[2]:.5~g} to %{customdata[3]:.5~g})<br>score %{customdata[4]:.4~g}" + parts + "<extra></extra>",
    }


def _boxes(
    rows: Rows, stretches: Sequence[Any], colour: str, height: tuple[float, float], opacity: float
) -> list[dict[str, Any]]:
    edges = [(span.start, span.end) if isinstance(span, Event) else span for span in stretches]
    return [
        {"type": "rect", "xref": "x", "yref": "paper", "x0": _place(rows, start), "x1": _place(rows, end),
         "y0": height[0], "y1": height[1], "fillcolor": colour, "opacity": opacity, "layer": "below",
         "line": {"width": 1, "color": colour}}
        for start, end in edges
    ]  # fmt: skip


def _list(events: Sequence[Event], rows: Rows) -> str:
    if not events:
        return "<p>Nothing was flagged.</p>"
    return "<table><tr><th></th><th>start</th><th>end</th><th>score</th><th>reason</th></tr>" + "".join(
        f"<tr tabindex='0' data-view='{html.escape(json.dumps(_view(event, rows)))}'><td>{place}</td>"
        f"<td>{moment(rows.place(event.start))}</td><td>{moment(rows.place(event.end))}</td>"
        f"<td>{number(event.score)}</td><td>{html.escape(event.reason)} ({percent(event.share)})</td></tr>"
        for place, event in enumerate(events, start=1)
    ) + "</table>"  # fmt: skip


def _view(event: Event, rows: Rows) -> list[Any]:
    """The stretch that a click on an event shows: the event with as much again beside it, fifty rows at least."""
    start, end = rows.place(event.start), rows.place(event.end)
    beside = max(end - start, 25 * (rows.time[-1] - rows.time[0]) // max(len(rows) - 1, 1))
    return [_text(start - beside), _text(end + beside)]


def _places(rows: Rows) -> np.ndarray:
    return rows.time.astype("datetime64[ms]").astype(str) if rows.clocked else rows.time


def _place(rows: Rows, moment: np.datetime64) -> Any:
    return _text(rows.place(moment))


def _text(place: Any) -> Any:
    return str(place.astype("datetime64[ms]")) if isinstance(place, np.datetime64) else int(place)


def _few(column: np.ndarray) -> np.ndarray:
    """Numbers of half the size; the file holds thousands."""
    with np.errstate(over="ignore"):
        return column.astype(np.float32)


def _faint(colour: str, opacity: float) -> str:
    red, green, blue = bytes.fromhex(colour[1:])
    return f"rgba({red},{green},{blue},{opacity})"


def _plain(text: str) -> str:
    """Text as it stands: a tag is no tag, and nothing is filled in."""
    return html.escape(text).replace("%{", "%\u200b{")


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.45 system-ui, sans-serif; color: #27384a; background: #fff }}
body {{ max-width: 1200px; margin: 1.5rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.3rem; margin: 0 }} p {{ color: #6b7783; margin: .3rem 0 }}
table {{ border-collapse: collapse; width: 100%; font-size: .9rem; margin: .8rem 0 }}
td, th {{ text-align: left; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid #e6e9ec }}
th {{ font-weight: 600; color: #6b7783 }} td {{ font-variant-numeric: tabular-nums }}
tr[data-view] {{ cursor: pointer }}
tr[data-view]:hover, tr[data-view]:focus {{ background: #fdf1e8; outline: none }}
</style></head><body>
<h1>{title}</h1><p>{outline}</p>
{figure}
<p>Drag to zoom, double-click for all; a click on an event shows it.</p>
{events}
<p>{caption}</p>
<script>
for (const row of document.querySelectorAll("tr[data-view]")) {{
  const show = () => {{
    Plotly.relayout("picture", {{"xaxis.range": JSON.parse(row.dataset.view), "yaxis.autorange": true}});
    document.getElementById("picture").scrollIntoView({{behavior: "smooth"}});
  }};
  row.addEventListener("click", show);
  row.addEventListener("keydown", event => event.key === "Enter" && show());
}}
</script></body></html>
"""
