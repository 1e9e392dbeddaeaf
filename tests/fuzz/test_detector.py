"""Arguments and tables that nobody means, given to `AnomalyDetector`."""

import datetime
import decimal
import math
import warnings

import hypothesis
import numpy as np
import pandas as pd
import polars
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.anomaly import AnomalyDetector
from fulgurite.base.errors import DataError, MisconfigurationException
from support.depth import examples
from support.strange import VALUES, check_refusal, parameters, values

pytestmark = pytest.mark.filterwarnings("ignore")
REFUSED = (DataError, MisconfigurationException)
ARGUMENTS = sorted(parameters(AnomalyDetector))
#: More of them take their time, and so do those that are chosen where none are given.
FEW_EPOCHS = 10
COLUMNS = ("time", "value", "continuous", "categorical")
#: Small and soon learned.
QUICK = {"epochs": 1, "options": {"window": 12}}
ROWS = 60
HOURS = pd.date_range("2024-01-01", periods=ROWS, freq="h", name="time")
TABLE = pd.DataFrame({"time": HOURS, "load": np.arange(ROWS) % 5.0, "kind": ["a", "b"] * (ROWS // 2)})


def learns(table: object, columns: dict[str, object] | None = None, **chosen: object) -> AnomalyDetector:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AnomalyDetector(**{**QUICK, **chosen}).fit(table, **(columns or {}))


def takes_or_refuses(**chosen: object) -> None:
    """What is in a dict of arguments for others is named by itself."""
    inner = [given for name in ("options", "trainer") if isinstance(given := chosen.get(name), dict)]
    try:
        learns(TABLE, **chosen)
    except Exception as error:
        check_refusal(error, {**chosen, **{str(name): value for given in inner for name, value in given.items()}})


@pytest.mark.deep
@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_takes_or_refuses_every_value(name):
    """One at a time, without chance; as scikit-learn wants it, `fit` is what refuses."""
    for value in VALUES:
        takes_or_refuses(**{name: value})


@examples(5)
@given(chosen=st.dictionaries(st.sampled_from(ARGUMENTS), values, min_size=1, max_size=2))
def test_arguments_are_taken_or_refused(chosen):
    """Alone and in pairs."""
    epochs = chosen.get("epochs", 1)
    hypothesis.assume(epochs is not None and not (isinstance(epochs, int) and epochs > FEW_EPOCHS))
    takes_or_refuses(**chosen)


@examples(5)
@given(columns=st.dictionaries(st.sampled_from(COLUMNS), values, min_size=1, max_size=2))
def test_names_of_columns_are_found_or_refused(columns):
    """By the argument's name, or by its own where the table has no such column."""
    try:
        learns(TABLE, columns)
    except DataError as error:
        assert "column" in str(error)
    except Exception as error:
        check_refusal(error, columns)


# -- tables ---------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["time", "value", "a", "", " ", "a,b", "ü", 0, 1.5, None, ("a", 1), datetime.date(2024, 1, 1), math.nan, True]
)
CELLS = [
    *(0, 1, 2.5, -1, math.nan, math.inf, -math.inf, 10**30, 1e308, -1e308, 2**60, True, None, pd.NA, pd.NaT),
    *("", "x", "1", "2024-01-01", "nan", "a\0b", b"x", "9" * 400, 1j, decimal.Decimal("nan"), decimal.Decimal("1.5")),
    *(datetime.datetime(2024, 1, 1), datetime.date(2024, 1, 1), datetime.timedelta(1), datetime.time(1)),
    *(datetime.datetime(9999, 12, 31), datetime.datetime(1, 1, 1), datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)),
    *([], [1], {}, {"a": 1}, (1, 2), object(), int, np.array([1, 2]), torch.ones(2), np.datetime64("2024"), 2 + 0j),
]  # fmt: skip
SOUND = [
    np.arange(ROWS) % 7.0, np.arange(ROWS), [f"{at % 3}" for at in range(ROWS)], [True, False] * (ROWS // 2),
    HOURS, pd.date_range("2024-01-01", periods=ROWS, tz="Europe/Berlin"),
    HOURS[::-1], pd.timedelta_range("1h", periods=ROWS),
    pd.period_range("2024-01", periods=ROWS, freq="M"), pd.Categorical(["a", None] * (ROWS // 2)), np.zeros(ROWS),
    pd.interval_range(0, ROWS), pd.array([1, None] * (ROWS // 2), "Int64"),
    pd.array(["a", None] * (ROWS // 2), "string"),
    np.arange(ROWS).astype("f2"), np.arange(ROWS).astype("u1"), np.arange(ROWS) * 1j, np.full(ROWS, np.nan),
    pd.arrays.SparseArray(np.zeros(ROWS)), np.arange(ROWS) + 2**62, np.full(ROWS, 1e308), [b"a"] * ROWS, [[1]] * ROWS,
]  # fmt: skip
odd = st.lists(st.sampled_from(CELLS), min_size=ROWS, max_size=ROWS).map(lambda cells: pd.Series(cells, dtype=object))
mostly = st.tuples(st.sampled_from(CELLS), st.integers(0, ROWS - 1)).map(
    lambda drawn: pd.Series([drawn[0] if at == drawn[1] else float(at % 5) for at in range(ROWS)], dtype=object)
)
column = st.sampled_from(SOUND).map(lambda cells: pd.Series(cells)) | odd | mostly
index = st.sampled_from([
    None, HOURS, pd.Index(["a"] * ROWS),
    pd.MultiIndex.from_product([range(ROWS // 2), [0, 1]]), pd.period_range("2024-01", periods=ROWS, freq="M"),
    HOURS.rename(("a", 1)), pd.DatetimeIndex([pd.NaT] * ROWS),
    pd.DatetimeIndex(["2024-01-01"] * ROWS),
])  # fmt: skip


@st.composite
def frames(draw):
    """A pandas table of any columns, names, which may be there twice, and index."""
    columns = draw(st.lists(column, max_size=4))
    table = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(ROWS))
    table.columns = draw(st.lists(NAMES, min_size=len(columns), max_size=len(columns)))
    rows = draw(index)
    return (table if rows is None else table.set_axis(rows)).iloc[: draw(st.sampled_from([ROWS, ROWS, ROWS, 2, 1, 0]))]


nearly = st.builds(
    lambda name, cells, to: TABLE.assign(**{name: cells.to_numpy()}).rename(columns={name: to}),
    st.sampled_from(["time", "load", "kind"]), column, NAMES | st.just("load"),
)  # fmt: skip
"""A table that could be learned, of which one column is another."""
arrays = st.builds(
    lambda shape, kind, cell: np.full(shape, cell, object).astype(kind, casting="unsafe") if kind else np.zeros(shape),
    st.lists(st.sampled_from([0, 1, 2, ROWS]), max_size=3).map(tuple),
    st.sampled_from(["f8", "f2", "i8", "u1", "?", "O", "U3", "S3", None]),
    st.sampled_from([0, 1, "1"]),
) | st.sampled_from([
    np.zeros(ROWS, "c16"), np.zeros(ROWS, "M8[D]"), np.zeros(ROWS, "m8[s]"), np.zeros(ROWS, [("a", "f8")]),
    np.zeros(ROWS, "V4"),
    np.full(ROWS, "x"), np.full(ROWS, None), np.full((ROWS, 2), np.nan), np.ma.masked_all(ROWS),
    np.arange(ROWS * 2.0).reshape(ROWS, 2)[::-1], np.array([10**30] * ROWS, object), np.array(np.zeros(ROWS), "f16"),
])  # fmt: skip
others = st.sampled_from([
    polars.DataFrame(), polars.DataFrame({"a": []}), polars.DataFrame({"a": [[1.0]] * ROWS}),
    polars.Series([1.0] * ROWS),
    polars.DataFrame({"a": [None] * ROWS}), polars.DataFrame({"a": [1.0] * ROWS}).lazy(),
    polars.Series("", ["x"] * ROWS),
    polars.DataFrame({"a": [{"b": 1}] * ROWS}), polars.DataFrame({"t": [datetime.time(1)] * ROWS, "v": [1.0] * ROWS}),
    polars.DataFrame({"t": [datetime.date(2024, 1, 1)] * ROWS, "v": [decimal.Decimal(1)] * ROWS}),
    polars.DataFrame({"a": [object()] * ROWS}), polars.DataFrame({"a": [b"x"] * ROWS}), torch.zeros(ROWS),
    torch.zeros(ROWS, 2),
    pd.Series([1.0] * ROWS), pd.Series(dtype=float), pd.Series(["x"] * ROWS, name=3), pd.DataFrame(), [1.0] * ROWS,
    polars.DataFrame({"a": ["x", None] * (ROWS // 2)}, {"a": polars.Categorical}), pd.date_range("2024", periods=ROWS),
])  # fmt: skip
anything = nearly | frames() | arrays | others | values


@examples(2)
@given(table=anything)
def test_rows_are_learned_or_refused(table):
    """Whatever they come in, by an error of ours; what was learned scores the same rows."""
    try:
        detector = learns(table)
        scored = detector.score(table)
    except REFUSED as error:
        assert str(error)
        return
    assert len(scored) == len(table)


@pytest.fixture(scope="module")
def learned():
    return learns(TABLE)


@examples()
@given(table=anything)
def test_other_rows_are_scored_or_refused(table, learned):
    """By a detector that has learned from another table."""
    try:
        scored = learned.score(table)
    except REFUSED as error:
        assert str(error)
        return
    assert len(scored) == len(table)


@examples(5)
@given(follows=values)
def test_whether_rows_follow_is_said_or_refused(follows, learned):
    try:
        learned.score(TABLE, follows=follows)
    except Exception as error:
        check_refusal(error, {"follows": follows})
