"""From parsed columns to a `Series`: put in order of time, with every oddity counted and said."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fulgurite.anomaly.cells import Written
from fulgurite.anomaly.schema import duration
from fulgurite.anomaly.series import Category, Series
from fulgurite.anomaly.words import counted, moment
from fulgurite.base.errors import DataError

SECOND = 1_000_000
HOUR = 3_600 * SECOND
#: A distance of more than so many steps is a gap.
GAP = 1.5


@dataclass(frozen=True)
class NamedSeries(Series):
    """Rows that also know what their column of times is called, None where there is none, and how they are written."""

    time_name: str | None = None
    written: Written = Written()


@dataclass
class Parsed:
    """Columns as they stood in the source. ``time`` and ``clock`` are int64 microseconds, both None without times."""

    time: np.ndarray | None
    clock: np.ndarray | None
    values: np.ndarray
    categories: tuple[Category, ...]
    label: np.ndarray | None


def arrange(
    parsed: Parsed,
    names: tuple[str, ...],
    time_name: str | None,
    notes: Sequence[str],
    written: Written,
) -> NamedSeries:
    """The series of these columns, whose arrays it takes over. Raises ``DataError`` where there is no row."""
    rows = len(parsed.values)
    if not rows:
        raise DataError("There is no row of data. One is needed to be scored, and more to learn.")
    said = [*notes, *_without_infinities(parsed.values, names)]
    order = np.arange(rows)
    if parsed.time is None:
        time, clock = (order * SECOND).view("datetime64[us]"), None
    else:
        order, more = _sorted(parsed, order)
        said += more
        time = parsed.time.view("datetime64[us]")
        clock = time if parsed.clock is parsed.time else parsed.clock.view("datetime64[us]")  # type: ignore[union-attr]
        said += _distances(parsed.time, clock)
    label, categories = parsed.label, parsed.categories
    return NamedSeries(time, clock, parsed.values, names, categories, label, order, tuple(said), time_name, written)


def check_for_fit(series: Series, window: int) -> None:
    """Raise ``DataError`` where nothing can be learned: too few numbers for windows of so many rows, or all alike."""
    value = series.value[np.isfinite(series.value)]
    name, need, rows = series.names[0], 3 * window, counted(len(series), "row")
    for place, other in enumerate(series.names):
        if not np.isfinite(series.values[:, place]).any():
            raise DataError(f"The column {other!r} has not one number in {rows} to learn from. Use another column.")
    if len(value) < need:
        raise DataError(
            f"The column {name!r} has {counted(len(value), 'number')} in {rows} to learn from; windows of "
            f"{counted(window, 'row')} need at least {need:,}. Give more rows, a later split, or a smaller window."
        )
    if value.min() == value.max():
        raise DataError(
            f"The column {name!r} is {value[0]:g} in all {len(value):,} rows to learn from. What is usual cannot be "
            "learned from a constant: watch another column, or train on rows in which it varies."
        )


def _without_infinities(values: np.ndarray, names: tuple[str, ...]) -> list[str]:
    """Infinities become NaN, in place."""
    said = []
    for place, name in enumerate(names):
        column = values[:, place]
        infinite = np.isinf(column)
        column[infinite] = np.nan
        absent, endless = int(np.isnan(column).sum()), int(infinite.sum())
        if absent:
            inside = f", {endless:,} of them infinite," if endless else ""
            end = "; such rows are not judged" if place == 0 else ""
            said.append(
                f"{counted(absent, 'row')}{inside} {'has' if absent == 1 else 'have'} no number in {name!r}{end}."
            )
        known = column[~np.isnan(column)]
        if len(known) > 1 and known.min() == known.max():
            said.append(f"The column {name!r} is constant ({known[0]:g}).")
    return said


def _sorted(parsed: Parsed, order: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Put all columns in order of time; rows of one moment stay as they were."""
    time = parsed.time
    assert time is not None
    jumps = np.flatnonzero(time[1:] < time[:-1])
    if not len(jumps):
        return order, []
    said = _jumps(time, jumps, zoned=parsed.clock is not time)
    order = np.argsort(time, kind="stable")
    shared = parsed.clock is time
    parsed.time = time[order]
    parsed.clock = parsed.time if shared else parsed.clock[order]  # type: ignore[index]
    parsed.values = parsed.values[order]
    parsed.label = None if parsed.label is None else parsed.label[order]
    parsed.categories = tuple(Category(c.name, c.codes[order], c.words) for c in parsed.categories)
    return order, said


def _jumps(time: np.ndarray, jumps: np.ndarray, zoned: bool) -> list[str]:
    first = jumps[0]
    back = time[first] - time[first + 1]
    said = (
        f"Rows were not in order of time: it goes back {_times(len(jumps))}, first by {duration(back / SECOND)} after "
    )
    said += f"{moment(time.view('datetime64[us]')[first])}. They are sorted; rows of one moment keep their order."
    step = np.median(np.abs(np.diff(time)))
    repeats = not zoned and len(jumps) <= 2 and time[first + 1] in time[: first + 1]
    if repeats and abs(back + step - HOUR) <= step:
        said += (
            " About one hour is there twice, as when clocks are set back for winter. Times with their offset "
            "(2024-10-27 02:00+01:00) would keep the two apart."
        )
    return [said]


def _distances(time: np.ndarray, clock: np.ndarray) -> list[str]:
    steps = np.diff(time)
    said = []
    if twins := int((steps == 0).sum()):
        said.append(
            f"{counted(twins, 'row')} {'has' if twins == 1 else 'have'} the time of the row before; all are kept."
        )
    step = float(np.median(steps)) if len(steps) else 0.0
    gaps = np.flatnonzero(steps > GAP * step) if step > 0 else steps[:0]
    if len(gaps):
        widest = gaps[np.argmax(steps[gaps])]
        said.append(
            f"{counted(len(gaps), 'gap')}: rows come every {duration(step / SECOND)}; the longest gap is "
            f"{duration(steps[widest] / SECOND)}, after {moment(clock[widest])}."
        )
    return said


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
