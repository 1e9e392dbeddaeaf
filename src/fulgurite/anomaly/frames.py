"""Arrays, pandas and polars tables as a `Series`, by the same rules as a CSV; and the results beside their rows."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fulgurite.anomaly.arrange import NamedSeries, Parsed, arrange
from fulgurite.anomaly.cells import UNSEEN, BadCell, TimeFormat, Written, labels, numbers, says_nothing
from fulgurite.anomaly.columns import Asked, Columns, choose, free_names
from fulgurite.anomaly.reading import Words, notes_on_times, told
from fulgurite.anomaly.series import Category
from fulgurite.anomaly.textfile import SAMPLE
from fulgurite.base.errors import DataError
from fulgurite.base.optional import require

if TYPE_CHECKING:
    from fulgurite.anomaly.verdict import Verdict

WHOLE = 2**53  # float64 holds every whole number up to here
NO_TIME = "has no time; each row needs one"


def series_of(
    X: Any,
    *,
    time: str | None = None,
    value: str | None = None,
    continuous: Iterable[str] | str | None = None,
    categorical: Iterable[str] | str | None = None,
    label: str | None = None,
    written: Written = UNSEEN,
) -> NamedSeries:
    """The rows of an array (n,) or (n, c), or a pandas or polars table or column, by the rules of `read`.

    The columns of an array are called ``value``, ``column 2``, … A pandas index of times is a column of times. Raises
    ``DataError`` for what cannot be used; it names the row, counted from 0, the column and the cell.
    """
    table = _columns(X)
    sample = {name: column.cells(SAMPLE) for name, column in table.items()}
    if not any(sample.values()):
        raise DataError(
            f"The table has no {'rows' if sample else 'columns'}. One row is needed to be scored, and more to learn."
        )
    columns = choose(sample, Asked.of(time, value, continuous, categorical, label, written.time))
    parsed, used = _parsed(table, columns)
    notes = [*columns.notes, *notes_on_times(columns, used, parsed), *_rounded(table, columns.numeric)]
    return arrange(parsed, columns.numeric, columns.time, notes, Written(used.pattern if used else None))


def beside(X: Any, verdict: "Verdict") -> Any:
    """The rows as they came in, with what was found out about them in columns behind their own."""
    return with_columns(X, verdict.at_source(len(X)))


def with_columns(X: Any, columns: Mapping[str, np.ndarray]) -> Any:
    """A table of the same kind (pandas for an array) with new columns, (n,) each, behind its own.

    Where a name is taken, ``_new`` is put behind it.
    """
    if isinstance(X, np.ndarray):
        X = require("pandas", "anomaly").DataFrame({name: each.values for name, each in _columns(X).items()})
    narwhals = require("narwhals", "anomaly")
    table = _eager(X)
    table = table if isinstance(table, narwhals.DataFrame) else table.to_frame()
    names = free_names(table.columns, columns)
    new = [narwhals.new_series(names[each], array, backend=table.implementation) for each, array in columns.items()]
    native = table.to_native()
    if hasattr(native, "index"):
        # pandas puts a column where its index says; it is to stand in its order.
        new = [narwhals.from_native(each.to_native().set_axis(native.index), series_only=True) for each in new]
    return table.with_columns(*new).to_native()


class _Column:
    """One column of numbers, an array; a table's own kinds add to it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def cells(self, rows: int | None = None) -> list[str]:
        """The cells as a CSV would have them, empty where there is nothing."""
        return ["" if _absent(cell) else str(cell) for cell in self.values[:rows].tolist()]

    def numbers(self) -> np.ndarray:
        if self.values.dtype.kind in "biuf":
            return self.values.astype(np.float64)
        return numbers(self.cells())

    def extremes(self) -> tuple[int, int] | None:
        """The least and the greatest of whole numbers; None of others."""
        return (int(self.values.min()), int(self.values.max())) if self.values.dtype.kind in "iu" else None

    def times(self, form: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
        """Instants and wall clock, int64 microseconds."""
        if self.values.dtype.kind == "M":
            return (found := _microseconds(self.values)), found
        if self.values.dtype.kind in "iuf":
            _check_all(self.values, ~np.isfinite(self.values.astype(np.float64)))
            return (found := form.from_numbers(self.values)), found
        return form(self.cells())


class _TableColumn(_Column):
    """A column of pandas, polars and the like, seen through narwhals."""

    def __init__(self, series: Any) -> None:
        self.series, self.kind = series, series.dtype

    @property
    def values(self) -> np.ndarray:  # type: ignore[override]
        return np.asarray(self.series.to_numpy())

    def cells(self, rows: int | None = None) -> list[str]:
        part = self.series if rows is None else self.series.head(rows)
        return ["" if _absent(cell) else str(cell) for cell in part.to_list()]

    def numbers(self) -> np.ndarray:
        if self.kind.is_numeric() or self.kind == _narwhals().Boolean:
            return np.array(self.series.cast(_narwhals().Float64).to_numpy(), np.float64)
        return numbers(self.cells())

    def extremes(self) -> tuple[int, int] | None:
        if not self.kind.is_integer() or self.series.min() is None:
            return None
        return int(self.series.min()), int(self.series.max())

    def times(self, form: TimeFormat) -> tuple[np.ndarray, np.ndarray]:
        narwhals = _narwhals()
        if self.kind.is_numeric():
            return _Column(self.numbers()).times(form)
        if self.kind == narwhals.Date:
            return _Column(self.series.cast(narwhals.Datetime("us")).to_numpy()).times(form)
        if self.kind != narwhals.Datetime:
            return form(self.cells())
        clock = _microseconds(self.series.dt.replace_time_zone(None).to_numpy())
        if self.kind.time_zone is None:
            return clock, clock
        return _microseconds(self.series.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy()), clock


def _narwhals() -> Any:
    return require("narwhals", "anomaly")


def _columns(X: Any) -> dict[str, _Column]:
    if isinstance(X, np.ndarray):
        return {name: _Column(column) for name, column in _array_columns(X)}
    _check_names(X)
    table = _eager(_named(_with_index(X)))
    if not hasattr(table, "columns"):
        table = table.alias(str(table.name) if table.name else "value").to_frame()
    return {name: _TableColumn(table[name]) for name in table.columns}


def _check_names(X: Any) -> None:
    # To name the columns of a lazy table is work, and it is refused anyway.
    names = [] if hasattr(X, "collect") else [str(name) for name in getattr(X, "columns", ())]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"The table has a column {twice[0]!r} more than once. Give each its own name.")


def _array_columns(X: np.ndarray) -> list[tuple[str, np.ndarray]]:
    if X.ndim not in (1, 2):
        raise DataError(f"The array has the shape {X.shape}. Give rows (n,) or rows with columns (n, c).")
    columns = X[:, None] if X.ndim == 1 else X
    names = ["value", *(f"column {place}" for place in range(2, columns.shape[1] + 1))]
    return list(zip(names, columns.T, strict=False))


def _eager(X: Any) -> Any:
    try:
        return _narwhals().from_native(X, eager_only=True, allow_series=True)
    except TypeError as error:
        hint = ".collect() it first." if hasattr(X, "collect") else "A CSV is read by fulgurite.anomaly.reading.read."
        raise DataError(
            f"Rows come as an array, a table or a column of pandas or polars, not as {type(X).__name__}. {hint}"
        ) from error


def _with_index(X: Any) -> Any:
    """A pandas table with its index of times as its first column; anything else as it is."""
    index = getattr(X, "index", None)
    if getattr(getattr(index, "dtype", None), "kind", None) != "M":
        return X
    frame = X.to_frame(X.name if X.name is not None else "value") if hasattr(X, "to_frame") else X
    name = str(index.name) if index.name is not None else "time"  # type: ignore[union-attr]
    if name in map(str, frame.columns):
        raise DataError(
            f"The index of times would be a column {name!r}, and there is one already. Rename the index, or leave it "
            "out: reset_index(drop=True)."
        )
    return frame.reset_index(names=name)


def _named(X: Any) -> Any:
    """A pandas table whose columns are called by texts; anything else as it is."""
    if not hasattr(X, "set_axis") or all(isinstance(name, str) for name in getattr(X, "columns", ())):
        return X
    return X.set_axis([str(name) for name in X.columns], axis=1)


def _parsed(table: dict[str, _Column], columns: Columns) -> tuple[Parsed, TimeFormat | None]:
    time, clock, used = _times(table, columns)
    values = np.stack([_asked(table, name, "numbers") for name in columns.numeric], axis=1)
    categories = tuple(_category(name, table[name].cells()) for name in columns.categorical)
    label = None
    if columns.label is not None:
        label = _located(columns.label, lambda name: labels(table[name].cells()))
    return Parsed(time, clock, values, categories, label), used


def _rounded(table: dict[str, _Column], names: Iterable[str]) -> Iterator[str]:
    """What is to be said of whole numbers that float64 does not hold. Raises ``DataError`` where it makes them all
    the same."""
    for name in names:
        low, high = table[name].extremes() or (0, 0)
        if low != high and float(low) == float(high):
            raise DataError(
                f"The column {name!r} has numbers from {low} to {high}: above 2**53 they are rounded, here to the same "
                "one. Take a constant off them."
            )
        if max(abs(low), abs(high)) > WHOLE:
            most = max(low, high, key=abs)
            yield f"The column {name!r} has whole numbers above 2**53, such as {most}: they are rounded."


def _times(
    table: dict[str, _Column], columns: Columns
) -> tuple[np.ndarray | None, np.ndarray | None, TimeFormat | None]:
    for place, form in enumerate(columns.formats):
        try:
            return *_located(columns.time, lambda name, form=form: table[name].times(form)), form
        except DataError as error:
            bad = error.__cause__
            if place + 1 == len(columns.formats) or not isinstance(bad, BadCell) or says_nothing(bad.cell):
                raise
    return None, None, None


def _asked(table: dict[str, _Column], name: str, what: str) -> np.ndarray:
    return _located(name, lambda name: getattr(table[name], what)())


def _located(name: str | None, read: Any) -> Any:
    try:
        return read(name)
    except BadCell as bad:
        raise DataError(told(bad, f"Row {bad.index}, column {name!r}")) from bad


def _category(name: str, cells: list[str]) -> Category:
    words = Words()
    words.add(cells, name)
    return words.category(name)


def _microseconds(times: np.ndarray) -> np.ndarray:
    _check_all(times, np.isnat(times))
    return times.astype("datetime64[us]").astype(np.int64)


def _check_all(values: np.ndarray, absent: np.ndarray) -> None:
    if absent.any():
        index = int(np.flatnonzero(absent)[0])
        raise BadCell(index, str(values[index]), NO_TIME)


def _absent(cell: Any) -> bool:
    if cell is None or cell is _pandas_nothing():
        return True
    try:
        # Only a NaN, and pandas' word for no time, differ from themselves.
        return bool(cell != cell)
    except (ValueError, TypeError, RuntimeError):  # an array or a tensor: no number, but something
        return False


def _pandas_nothing() -> Any:
    pandas = sys.modules.get("pandas")
    return None if pandas is None else pandas.NA
