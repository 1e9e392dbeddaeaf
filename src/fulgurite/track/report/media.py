"""What a run logged that is no line: pictures, sounds, films, pages, tables, histograms, anything else as text."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from fulgurite.track.report.budget import Budget, LeftOut
from fulgurite.track.report.markup import Markup, h, json_script
from fulgurite.track.report.words import brief, counted, number
from fulgurite.track.store.paths import shown
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store

MOST_KEYS, NEWEST = 60, 4  # keys of a run, and values of a key
MOST_PARTS = 24  # pictures and the like in one value
ROWS, COLUMNS, LETTERS = 50, 30, 300  # of a table, and of one of its cells
LARGEST_TABLE = 20_000_000  # bytes that are read to show the first rows
LONGEST = 2000  # letters of anything else

Value = Mapping[str, Any]


class Media:
    """Draws the media of one run; figures only where the page is ``interactive``."""

    def __init__(self, store: Store, run: Run, budget: Budget, interactive: bool = True) -> None:
        self._store, self._run, self._budget, self._interactive = store, run, budget, interactive
        self._in_table = False
        self._ways: dict[str, Callable[[Value], Markup]] = {
            "image-file": lambda value: self._picture(value.get("path"), value.get("caption")),
            "images/separated": self._pictures,
            "audio-file": lambda value: self._played("audio", value),
            "video-file": lambda value: self._played("video", value),
            "audio": lambda value: self._several(value, "audio"),
            "videos": lambda value: self._several(value, "videos"),
            "html": lambda value: self._several(value, "html"),
            "html-file": self._page,
            "table-file": self._table,
            "plotly-file": self._figure,
            "histogram": histogram,
        }

    def sections(self) -> list[Markup]:
        """A figure for each key, with its newest values."""
        keys = [path for path, about in self._store.history.keys(self._run.id).items() if "j" in about["kinds"]]
        named = [(path, shown(path)) for path in keys]
        wanted = [(path, name) for path, name in named if not name.startswith("_")]
        found = [self._section(path, name) for path, name in wanted[:MOST_KEYS]]
        if len(wanted) > MOST_KEYS:
            found.append(h("p", f"{len(wanted) - MOST_KEYS} more keys with media are left out.", kind="quiet"))
        return [each for each in found if each]

    def _section(self, path: str, name: str) -> Markup:
        column = self._store.history.read(self._run.id, path)
        pairs = list(zip(column.steps.tolist(), column.values(), strict=True))
        # Numbers beside media are in the charts already, those that are not finite too.
        others = [(step, value) for step, value in pairs if not isinstance(value, int | float)]
        if not others:
            return Markup()
        newest = others[: -NEWEST - 1 : -1]
        drawn = [
            h("div", self._counted(name, value), h("p", f"step {step}", kind="quiet"), kind="value")
            for step, value in newest
        ]
        note = f" the last {len(newest)} of {len(others)}" if len(others) > len(newest) else None
        return h("section", h("h4", name, h("span", note, kind="quiet")), h("div", drawn, kind="media"), kind="key")

    def _counted(self, name: str, value: Any) -> Markup:
        try:
            with self._budget.counting(name) as made:
                made.append(self.drawn(value))
        except LeftOut as why:
            return h("p", str(why), kind="quiet")
        return made[0]

    def drawn(self, value: Any) -> Markup:
        """Any value that a run can log."""
        way = self._ways.get(str(value.get("_type"))) if isinstance(value, dict) else None
        try:
            return way(value) if way is not None else _plain(value)
        except LeftOut as why:
            return h("p", str(why), kind="quiet")
        except (AttributeError, TypeError, ValueError, KeyError):
            # What calls itself a picture need not have a picture's parts.
            return _plain(value)

    def _picture(self, name: Any, caption: Any) -> Markup:
        if str(name).lower().endswith(".svg"):
            return self._framed(str(name), caption)
        told = str(caption) if caption else None
        image = h("img", src=self._budget.picture(self._run, str(name)), alt=told or "A logged picture", loading="lazy")
        return h("figure", image, h("figcaption", told) if told else None)

    def _pictures(self, value: Value) -> Markup:
        names, captions = list(value.get("filenames") or []), list(value.get("captions") or [])
        captions += [None] * (len(names) - len(captions))
        parts = [self.drawn({"_type": "image-file", "path": name, "caption": caption})
                 for name, caption in zip(names[:MOST_PARTS], captions, strict=False)]  # fmt: skip
        return h("div", parts, _rest(len(names)), kind="media")

    def _several(self, value: Value, key: str) -> Markup:
        parts = list(value.get(key) or [])
        return h("div", [self.drawn(part) for part in parts[:MOST_PARTS]], _rest(len(parts)), kind="media")

    def _played(self, tag: str, value: Value) -> Markup:
        name, caption = str(value.get("path")), value.get("caption")
        told = h("figcaption", caption) if caption else None
        if name.lower().endswith(".gif"):
            return self._picture(name, caption)
        source = self._budget.played(self._run, name)
        return h("figure", h(tag, src=source, controls=True, preload="metadata", aria_label=caption or name), told)

    def _page(self, value: Value) -> Markup:
        return self._framed(str(value.get("path")), value.get("caption"))

    def _framed(self, name: str, caption: Any) -> Markup:
        """A page or drawing in a frame of its own: without scripts, forms, and a way to us or to the network."""
        text = self._budget.content(self._run, name, 1.2).decode("utf-8", "replace")
        frame = h("iframe", sandbox="", srcdoc=text, title=str(caption or name), loading="lazy")
        return h("figure", frame, h("figcaption", caption) if caption else None)

    def _figure(self, value: Value) -> Markup:
        """A place for the page's script to draw the figure in, and its data."""
        name = str(value.get("path"))
        if not self._interactive:
            raise self._budget.refused(f"{name} is a figure that needs a script.")
        try:
            found = json.loads(self._budget.content(self._run, name))
            figure = {"data": list(found["data"]), "layout": dict(found.get("layout") or {})}
        except (ValueError, RecursionError, KeyError, TypeError):
            raise self._budget.refused(f"{name} can't be read as a figure.") from None
        return h("div", h("div", kind="figure"), json_script(figure), kind="framed")

    def _table(self, value: Value) -> Markup:
        name = str(value.get("path"))
        if self._in_table:  # of all tables it may hold itself
            raise self._budget.refused(f"{name} is a table inside of a table.")
        if (value.get("size") or 0) > LARGEST_TABLE:
            raise self._budget.refused(f"{name} is a table too large to be shown here.")
        try:
            found = json.loads(self._budget.content(self._run, name, 0))
            columns, rows = [str(name) for name in found["columns"]], list(found["data"])
        except (ValueError, RecursionError, KeyError, TypeError):
            raise self._budget.refused(f"{name} can't be read as a table.") from None
        self._in_table = True
        try:
            return self._rows(name, columns, rows)
        finally:
            self._in_table = False

    def _rows(self, name: str, columns: list[str], rows: list[Any]) -> Markup:
        head = h("tr", [h("th", name, scope="col") for name in columns[:COLUMNS]])
        body = [h("tr", [self._cell(cell) for cell in list(row)[:COLUMNS]]) for row in rows[:ROWS]]
        told = counted(len(rows), "row")
        if len(rows) > ROWS:
            told = f"The first {ROWS} of {told}"
        if len(columns) > COLUMNS:
            told += f", and {COLUMNS} of {len(columns)} columns"
        table = h("table", h("thead", head), h("tbody", body))
        scroll = h(
            "div", table, kind="scroll", tabindex="0", role="region", aria_label=f"Table {name} of {self._run.name}"
        )
        return h("div", scroll, h("p", f"{told}.", kind="quiet"))

    def _cell(self, cell: Any) -> Markup:
        if isinstance(cell, dict) and "_type" in cell:
            return h("td", self.drawn(cell))
        numeric = isinstance(cell, int | float) and not isinstance(cell, bool)
        text = brief(cell)
        return h("td", text if len(text) <= LETTERS else f"{text[:LETTERS]} …", kind="number" if numeric else None)


def histogram(value: Value) -> Markup:
    """The counts as bars, each with its range to be read when it is pointed at."""
    counts, edges = [float(count) for count in value["values"]], [float(edge) for edge in value["bins"]]
    if len(edges) != len(counts) + 1 or not counts:
        raise ValueError("a histogram has one edge more than counts")
    most, width = max([*counts, 1e-12]), 240 / len(counts)
    bars = [
        h(
            "rect",
            h("title", f"{number(edges[i])} to {number(edges[i + 1])}: {number(count)}"),
            x=f"{i * width:.2f}",
            y=f"{100 - 100 * count / most:.2f}",
            width=f"{max(width - 0.5, 0.4):.2f}",
            height=f"{100 * count / most:.2f}",
        )
        for i, count in enumerate(counts)
    ]
    told = f"A histogram from {number(edges[0])} to {number(edges[-1])}, its highest bar {number(max(counts))}"
    picture = h("svg", bars, viewBox="0 0 240 100", kind="histogram", role="img", aria_label=told)
    scale = h("figcaption", h("span", number(edges[0])), h("span", number(edges[-1])), kind="scale")
    return h("figure", picture, scale)


def _rest(count: int) -> Markup | None:
    return h("p", f"{count - MOST_PARTS} more are left out.", kind="quiet") if count > MOST_PARTS else None


def _plain(value: Any) -> Markup:
    text = value if isinstance(value, str) else json.dumps(value, indent=1)
    return h("pre", text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text):,} letters")
