"""The page itself: everything in one file, under a policy that lets nothing in and nothing out."""

import base64
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from fulgurite.base.errors import DataError
from fulgurite.track.charting import plotly_script
from fulgurite.track.report.budget import Budget
from fulgurite.track.report.graphs import interactive, static
from fulgurite.track.report.lines import charts, numeric
from fulgurite.track.report.markup import Markup, h, together
from fulgurite.track.report.media import Media
from fulgurite.track.report.section import section
from fulgurite.track.report.sheets import config_sheets, runs_sheet, summary_sheet, title_of
from fulgurite.track.report.words import counted, moment, size
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store

FOLDER = Path(__file__).with_name("page")
FRAME = 50_000  # bytes of styles and what else is in every page
# Styles may stand inline, since frames are under the same policy as the page and a logged page would be bare without.
POLICY = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; media-src data:; "
    "font-src data:; form-action 'none'; base-uri 'none'"
)


@dataclass(frozen=True)
class Wish:
    """What a report shall be: ``keys`` are patterns of the metrics to draw (all, if there are none).

    ``largest`` is the size of the page in bytes; ``static`` draws pictures instead of what needs a script.
    """

    title: str | None = None
    keys: Sequence[str] = ()
    largest: float = 25e6
    static: bool = False


def page_of(store: Store, runs: Sequence[Run], wish: Wish) -> tuple[str, Budget]:
    """The page about these runs as HTML, and what was left out of it.

    Raises ``DataError`` if charts and texts alone are larger than wished, or no metric fits the patterns.
    """
    with store.database.reading():
        found = charts(store, runs, wish.keys)
        if wish.keys and not found.drawn:
            raise DataError(_no_such_key(store, runs, wish.keys))
        scripts = [] if wish.static else [plotly_script().read_text("utf-8"), _file("report.js")]
        graphs = static(found, runs) if wish.static else interactive(found, runs)
        compared, sections = _compared(runs), [section(store, run, i) for i, run in enumerate(runs)]
        used = FRAME + sum(map(len, [*scripts, graphs, compared])) + sum(map(len, sections))
        if used > wish.largest:
            raise DataError(
                f"Charts and texts alone take {size(used)}, more than the {size(wish.largest)} of --max-size. Draw "
                "fewer metrics with --key, name fewer runs, or allow more."
            )
        budget = Budget(store, wish.largest - used)
        media = [Media(store, run, budget, not wish.static).sections() for run in runs]
    each = [part.around(shown) for part, shown in zip(sections, media, strict=True)]
    return _whole(wish.title or _title(runs), runs, [compared, graphs, *each], scripts), budget


def _whole(title: str, runs: Sequence[Run], parts: Sequence[Markup], scripts: Sequence[str]) -> str:
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts) or "'none'"
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", http_equiv="Content-Security-Policy", content=POLICY.format(scripts=allowed)),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="color-scheme", content="light dark"),
        h("meta", name="referrer", content="no-referrer"),
        h("title", title),
        h("style", Markup(_file("report.css"))),
    )
    foot = h("footer", f"Written by Fulgurite {version('fulgurite')} at {moment(time.time())}.", kind="quiet")
    code = [h("script", Markup(script)) for script in scripts]
    body = h("body", h("main", h("h1", title), h("p", _span(runs), kind="quiet"), parts, foot), code)
    return f"<!doctype html>\n{h('html', head, body, lang='en')}\n"


def _title(runs: Sequence[Run]) -> str:
    projects = list(dict.fromkeys(run.project.name for run in runs))
    if len(runs) == 1:
        return f"{title_of(runs[0])} · {projects[0]}"
    return f"{counted(len(runs), 'run')} of {', '.join(projects[:3])}{' …' if len(projects) > 3 else ''}"


def _span(runs: Sequence[Run]) -> str:
    first, last = min(run.created_at for run in runs), max(run.ended_at or run.seen_at for run in runs)
    projects = ", ".join(dict.fromkeys(f"{run.project.entity}/{run.project.name}" for run in runs))
    rows = sum(run.row_count for run in runs)
    return f"{counted(len(runs), 'run')} of {projects}, {counted(rows, 'row')}, {moment(first)} to {moment(last)}"


def _compared(runs: Sequence[Run]) -> Markup:
    """What is said of all runs, side by side."""
    results = h("section", h("h2", "Results"), summary_sheet(runs), kind="card")
    settings = h("section", h("h2", "Configuration"), config_sheets(runs), kind="card")
    # The sheets of one run are narrow.
    beside = h("div", results, settings, kind="columns" if len(runs) == 1 else None)
    return together([h("section", h("h2", "Runs"), runs_sheet(runs), kind="card"), beside])


def _no_such_key(store: Store, runs: Sequence[Run], patterns: Sequence[str]) -> str:
    known = sorted({name for run in runs for name in numeric(store, run).values()})
    told = ", ".join(known[:20]) + (" …" if len(known) > 20 else "")
    return f"No metric is called {' or '.join(map(repr, patterns))}; the runs have logged: {told or 'no numbers'}."


@cache
def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
