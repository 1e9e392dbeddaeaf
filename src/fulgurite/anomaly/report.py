"""One page that tells all of a result: what was scored, by what, what was found, and how to do it again."""

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from fulgurite.anomaly.events import Event
from fulgurite.anomaly.interactive import draw_html
from fulgurite.anomaly.judge.evaluation import COLUMNS, LEGEND, Evaluation, Line
from fulgurite.anomaly.picture import Scene, draw_png
from fulgurite.anomaly.result import Result
from fulgurite.anomaly.schema import duration
from fulgurite.anomaly.words import counted, moment, number, percent
from fulgurite.base.paths import atomic_write

MOST_EVENTS = 200
MOST_LINES = 10


def write_report(result: Result, folder: str | os.PathLike[str]) -> list[Path]:
    """Write picture.png, picture.html and report.html into the folder; returns their paths."""
    png, html, page = (Path(folder, name) for name in ("picture.png", "picture.html", "report.html"))
    summary = result.summary
    title, caption = Path(summary["source"]["file"]).name, _caption(summary)
    scene = Scene(result.rows, result.events, _level(summary), title, caption, result.known, result.begin)
    draw_png(scene, png)
    draw_html(scene, html)
    with atomic_write(page, "w", encoding="utf-8") as file:
        file.write(page_of(result, png.read_bytes(), html.name))
    return [png, html, page]


def summary_text(result: Result) -> str:
    """What was found, for a terminal: a line of rows, one of flags, and the highest events in order of time."""
    summary, events = result.summary, _highest(result.events, MOST_LINES)
    head = [f"{summary['source']['file']}: {_span(result)}.", _found(summary), summary["threshold"]["told"]]
    if not events:
        return "\n".join(head)
    table = [["start", "end", "score", "reason"]]
    table += [
        [_time(result, event.start), _time(result, event.end), number(event.score), event.reason] for event in events
    ]
    widths = [max(map(len, column)) for column in list(zip(*table, strict=True))[:3]]
    lines = [
        f"  {start:{widths[0]}}  {end:{widths[1]}}  {score:>{widths[2]}}  {reason}"
        for start, end, score, reason in table
    ]
    left_out = len(result.events) - len(events)
    return "\n".join([*head, "", *lines, *([f"  ... and {left_out:,} lower ones in events.csv"] if left_out else [])])


def page_of(result: Result, png: bytes, picture: str | None = None) -> str:
    """The page as HTML that needs nothing beside it; ``picture`` is the file to look closer in."""
    summary, source = result.summary, result.summary["source"]
    closer = f'<p><a href="{escape(picture)}">Look closer: zoom, and click on events</a></p>' if picture else ""
    inline = base64.b64encode(png).decode()
    image = f'<img alt="The series with its events, and the score" src="data:image/png;base64,{inline}">'
    sections = [
        _section("Events", _events(result)),
        _section("How it was judged", _judged(summary)),
        _section("Beside plain methods", _evaluation(result.evaluation)),
        _section("Missing, guessed, repaired", _list(_notes(summary))),
        _section("Training", _training(summary.get("training"))),
        _section("Run it again", _again(summary)),
    ]
    return PAGE.format(
        title=escape(Path(source["file"]).name), span=escape(_span(result)), style=STYLE, tiles=_tiles(result),
        picture=image + closer, sections="".join(sections),
        foot=escape(f"Fulgurite {summary.get('fulgurite', '')}, {summary.get('made', '')}"),
    )  # fmt: skip


def _level(summary: Mapping[str, Any]) -> float:
    """NaN where no row had a score to take a level from."""
    level = summary["threshold"]["level"]
    return float("nan") if level is None else float(level)


def _caption(summary: Mapping[str, Any]) -> str:
    zone = "Times are UTC." if summary["source"].get("zoned") else ""
    return " ".join(filter(None, [f"Model {summary['model']['kind']}.", summary["threshold"]["told"], zone]))


def _span(result: Result) -> str:
    """The rows that were scored, and those that were learned from where they are in the same file."""
    rows, begin, step = result.rows, result.begin, result.summary["source"].get("step_seconds")
    if not len(rows):
        return "no rows"
    first = 0 if begin is None else int(np.searchsorted(rows.time, rows.place(begin)))
    every = f", one every {duration(step)}" if step else ""
    learned = f"; learned from the {counted(first, 'row')} before" if first else ""
    return f"{counted(len(rows) - first, 'row')}, {moment(rows.time[first])} to {moment(rows.time[-1])}{every}{learned}"


def _found(summary: Mapping[str, Any]) -> str:
    found = summary["found"]
    unscored = f"; {counted(found['unscored'], 'row')} could not be scored" if found["unscored"] else ""
    return (
        f"{counted(found['events'], 'event')}, {counted(found['flagged'], 'row')} flagged "
        f"({percent(found['share'])}){unscored}."
    )


def _tiles(result: Result) -> str:
    found = result.summary["found"]
    facts = {
        "event" if found["events"] == 1 else "events": f"{found['events']:,}",
        "rows flagged": f"{found['flagged']:,} ({percent(found['share'])})",
        "rows scored": f"{result.summary['source'].get('rows', len(result.rows)):,}",
        "threshold": number(_level(result.summary)) or "none",
        "model": str(result.summary["model"]["kind"]),
    }
    return "".join(f"<div><b>{escape(text)}</b>{escape(name)}</div>" for name, text in facts.items())


def _events(result: Result) -> str:
    if not result.events:
        return "<p>Nothing was flagged.</p>"
    events = _highest(result.events, MOST_EVENTS)
    place = {event.start: str(rank) for rank, event in enumerate(result.events, start=1)}
    head = ("", "start", "end", "peak", "rows", "score", "share", "reason")
    cells = [
        [place[event.start], *(_time(result, time) for time in (event.start, event.end, event.peak)),
         f"{event.rows:,}", number(event.score), percent(event.share), event.reason]
        for event in events
    ]  # fmt: skip
    left_out = len(result.events) - len(events)
    more = f"<p>The {MOST_EVENTS} highest; {left_out:,} lower ones are in events.csv.</p>" if left_out else ""
    return _table(head, cells) + more


def _judged(summary: Mapping[str, Any]) -> str:
    told = [summary["model"]["told"], summary["threshold"]["told"], summary["source"].get("split")]
    told.append(
        f"Flagged rows at most {summary['refractory']:,} rows apart are one event." if summary.get("refractory") else ""
    )
    told.append("Times are UTC." if summary["source"].get("zoned") else "")
    return "".join(f"<p>{escape(text)}</p>" for text in told if text)


def _evaluation(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return ""
    cells = [[line.title, *(_measure(name, line) for name in COLUMNS)] for line in evaluation.lines()]
    ours = [place for place, line in enumerate(evaluation.lines()) if line.kind == "ours"]
    return _table(["", *COLUMNS.values()], cells, marked=ours) + f"<p>{escape(LEGEND)}</p>" + _list(evaluation.notes)


def _measure(name: str, line: Line) -> str:
    value = line.means[name]
    if value is None:
        return "–"
    if name == "flagged_share":
        return percent(value)
    return (f"{value:.0f}" if name in ("nab", "delay_rows") else f"{value:.3f}") + line.beside(name)


def _notes(summary: Mapping[str, Any]) -> list[str]:
    unscored = summary["found"]["unscored"]
    notes = list(summary.get("notes") or ())
    return [*notes, *([f"{counted(unscored, 'row')} could not be scored and are not flagged."] if unscored else [])]


def _training(training: Mapping[str, Any] | None) -> str:
    if not training:
        return ""
    facts = {"rows": "{:,} rows", "epochs": "{:,} epochs", "seconds": "{:.1f} s"}
    told = ", ".join(form.format(training[name]) for name, form in facts.items() if training.get(name))
    losses = {name: [float(loss) for loss in each] for name, each in (training.get("losses") or {}).items() if each}
    cells = [[name, f"{each[0]:.4g}", f"{each[-1]:.4g}", f"{min(each):.4g}"] for name, each in losses.items()]
    lines = "".join(_curve(name, each) for name, each in losses.items() if len(each) > 1)
    return f"<p>{escape(told)}</p>" + (_table(("loss", "first epoch", "last", "least"), cells) + lines if cells else "")


def _curve(name: str, losses: Sequence[float]) -> str:
    """A small line of the losses, one point an epoch."""
    low, high = min(losses), max(losses)
    points = [
        f"{place * 296 / (len(losses) - 1) + 2:.1f},{46 - (loss - low) / (high - low or 1) * 42:.1f}"
        for place, loss in enumerate(losses)
    ]
    return (
        f'<svg viewBox="0 0 300 48" width="300" height="48" role="img"><title>{escape(name)}</title>'
        f'<polyline points="{" ".join(points)}"/></svg>'
    )


def _again(summary: Mapping[str, Any]) -> str:
    command = summary.get("command")
    return f"<pre>{escape(command)}</pre>" if command else ""


def _highest(events: Sequence[Event], most: int) -> list[Event]:
    """The events with the highest scores, in order of time."""
    return sorted(sorted(events, key=lambda event: -event.score)[:most], key=lambda event: event.start)


def _time(result: Result, time: Any) -> str:
    return moment(result.rows.place(time))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""


def _list(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def _table(head: Sequence[str], cells: Iterable[Sequence[str]], marked: Sequence[int] = ()) -> str:
    rows = [
        f"<tr{' class=ours' if place in marked else ''}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for place, row in enumerate(cells)
    ]
    titles = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<div class=wide><table><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #27384a; background: #fff }
body { max-width: 1080px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem }
p { margin: .3rem 0 } header p, footer { color: #6b7783 } a { color: #0b5cad }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.1rem 0 }
.tiles div { border: 1px solid #e6e9ec; border-radius: 6px; padding: .5rem .9rem; color: #6b7783; font-size: .85rem }
.tiles b { display: block; font-size: 1.15rem; color: #27384a }
img { max-width: 100% } .wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums }
td, th { text-align: left; padding: .28rem 1rem .28rem 0; border-bottom: 1px solid #e6e9ec }
td { vertical-align: top }
td:not(:last-child) { white-space: nowrap }
th { font-weight: 600; color: #6b7783 } .ours td { font-weight: 600; color: #b34700 }
pre { background: #f5f7f8; padding: .7rem .9rem; border-radius: 6px; white-space: pre-wrap }
svg { margin: .6rem 1rem 0 0 } polyline { fill: none; stroke: #0072b2; stroke-width: 1.5 }
footer { margin-top: 2.5rem; font-size: .85rem }
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Anomalies in {title}</title><style>{style}</style></head><body>
<header><h1>Anomalies in {title}</h1><p>{span}</p></header>
<div class="tiles">{tiles}</div>
{picture}
{sections}
<footer>{foot}</footer>
</body></html>
"""
