"""All that belongs to one run alone: what was said of it, its media, what it printed, and where it ran."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fulgurite.track.report.markup import Markup, h, together
from fulgurite.track.report.sheets import facts_sheet, files_sheet, swatch, title_of
from fulgurite.track.report.words import moment
from fulgurite.track.store.console import Line
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store

TAIL = 200  # console lines
LONGEST = 2000  # letters of one
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Section:
    """The section about run number ``i`` of the report: what stands above and below its media."""

    i: int
    head: Markup
    foot: Markup

    def __len__(self) -> int:
        return len(self.head) + len(self.foot)

    def around(self, media: Sequence[Markup]) -> Markup:
        """The whole section."""
        title = h("h3", "Media") if media else None
        return h("section", self.head, title, media, self.foot, kind="card one", id=f"run-{self.i}")


def section(store: Store, run: Run, i: int) -> Section:
    """All that is said of a run, without its media."""
    head = [
        h("h2", swatch(i), " ", title_of(run), " ", h("span", run.state, kind="state", data_state=run.state)),
        h("p", [h("span", tag, kind="tag") for tag in run.tags], kind="tags") if run.tags else None,
        h("p", run.notes, kind="notes") if run.notes else None,
        _alerts(store, run),
    ]
    count = len(store.blobs.files(run.id))
    foot = [
        _console(store, run),
        h("details", h("summary", "Machine and code"), facts_sheet(run)),
        h("details", h("summary", f"Files ({count})"), files_sheet(store, run)) if count else None,
    ]
    return Section(i, together(head), together(foot))


def _console(store: Store, run: Run) -> Markup:
    """The last lines that a run printed."""
    count = store.console.count(run.id)
    if not count:
        return Markup()
    lines = store.console.read(run.id, max(count - TAIL, 0), TAIL)
    told = f"Console, the last {len(lines)} of {count} lines" if count > len(lines) else f"Console, {count} lines"
    shown = [h("span", f"{_plain(line)}\n", data_stream=line.stream) for line in lines]
    return h("details", h("summary", told), h("pre", shown, kind="console", tabindex="0"))


def _alerts(store: Store, run: Run) -> list[Markup]:
    return [
        h(
            "p",
            h("strong", alert["title"]),
            f" {alert['text']} ",
            h("span", moment(alert["raised_at"]), kind="quiet"),
            kind="note",
        )
        for alert in store.runs.alerts(run)
    ]


def _plain(line: Line) -> str:
    """A line as a terminal would leave it: what a carriage return took back is gone, and so are the colours."""
    parts = CODES.sub("", line.line).split("\r")
    return next((part for part in reversed(parts) if part), "")[:LONGEST]
