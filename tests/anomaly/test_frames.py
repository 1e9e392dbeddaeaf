"""Arrays and tables are read by the rules of a file, and come back with their kind."""

import math

import numpy as np
import pytest
import torch

from fulgurite.anomaly.frames import series_of, with_columns
from fulgurite.base.errors import DataError, WrongKind

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pytest.importorskip("narwhals")

TIMES = ["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 03:00"]
COLUMNS = {"when": TIMES, "flow": [1.0, None, 3.0], "pump": ["a", None, "b"], "label": [False, True, False]}
NEW = {"score": np.array([0.1, np.nan, 0.3]), "flow": np.array([0, 1, 0], np.int8)}


def pandas_table():
    return pandas.DataFrame(COLUMNS, index=[7, 5, 9])


def polars_table():
    return polars.DataFrame(COLUMNS)


@pytest.mark.parametrize("make", [pandas_table, polars_table])
def test_a_table_is_read_as_a_file_is(make):
    """Times, value, words and label, with None for nothing."""
    series = series_of(make(), categorical="pump")

    assert series.time.astype("datetime64[m]").astype(str).tolist() == [time.replace(" ", "T") for time in TIMES]
    np.testing.assert_array_equal(series.value, [1, np.nan, 3])
    assert series.categories[0].codes.tolist() == [0, -1, 1] and series.categories[0].words == ("a", "b")
    assert series.label.tolist() == [False, True, False]
    assert series.time_name == "when"


@pytest.mark.parametrize("make", [pandas_table, polars_table])
def test_results_come_back_in_a_table_of_the_same_kind(make):
    """Behind its own columns, by place and not by index; a taken name gets `_new`."""
    table = make()
    found = with_columns(table, NEW)

    assert type(found) is type(table)
    assert list(found.columns) == [*COLUMNS, "score", "flow_new"]
    np.testing.assert_array_equal(found["score"].to_numpy(), NEW["score"])
    assert found["flow_new"].to_numpy().tolist() == [0, 1, 0]
    assert list(table.columns) == list(COLUMNS)


def test_an_index_of_times_is_the_time():
    """With its zone: in this night an hour is left out on the clock, not in time."""
    index = pandas.date_range("2024-03-31 01:00", periods=3, freq="h", tz="Europe/Rome")
    series = series_of(pandas.DataFrame({"flow": [1, 2, 4]}, index=index))

    assert (np.diff(series.time) == np.timedelta64(1, "h")).all()
    assert np.diff(series.clock).astype("timedelta64[h]").astype(int).tolist() == [2, 1]


@pytest.mark.parametrize("kind", ["date", "datetime", "zoned"])
def test_polars_own_times_are_times(kind):
    """Dates, times, and times with a zone."""
    times = polars.Series("when", ["2024-01-01", "2024-01-02", "2024-01-03"])
    made = {"date": times.str.to_date(), "datetime": times.str.to_datetime()}
    made["zoned"] = made["datetime"].dt.replace_time_zone("Europe/Rome")

    series = series_of(polars.DataFrame({"when": made[kind], "flow": [1, 2, 4]}))

    assert series.clock.astype("datetime64[D]").astype(str).tolist() == times.to_list()
    assert (series.clock[0] - series.time[0]) == np.timedelta64(1 if kind == "zoned" else 0, "h")


def test_arrays_have_columns_too():
    """One dimension is the value, of two the first column is; results are a pandas table."""
    assert series_of(np.arange(4)).value.tolist() == [0, 1, 2, 3]
    series = series_of(np.array([[3.0, 1], [2, 1], [5, 8]]))

    assert series.names == ("value", "column 2") and series.clock is None
    assert list(with_columns(np.arange(3), {"score": np.zeros(3)}).columns) == ["value", "score"]


@pytest.mark.parametrize("make", [np.array, pandas.Series, polars.Series])
def test_whole_numbers_that_are_rounded_are_said(make):
    """Numbers are float64 here, which holds whole ones up to 2**53."""
    assert any("2**53" in note for note in series_of(make([1, 2**53 + 1, 2**60])).notes)
    assert not any("2**53" in note for note in series_of(make([1, 2**53])).notes)


def test_single_columns_are_rows_as_well():
    """A pandas or polars Series."""
    assert series_of(pandas.Series([1, 2, 4], name="flow")).names == ("flow",)
    assert series_of(polars.Series([1, 2, 4])).names == ("value",)


def test_rows_are_sorted_and_know_their_place():
    """As in a file, and said."""
    series = series_of(pandas.DataFrame({"when": pandas.to_datetime(TIMES[::-1]), "flow": [3, 2, 1]}))

    assert series.value.tolist() == [1, 2, 3] and series.order.tolist() == [2, 1, 0]
    assert any("not in order" in note for note in series.notes)


def test_rows_count_from_1970_where_the_column_says_so():
    """A column of numbers called `ts`."""
    series = series_of(polars.DataFrame({"ts": [1_700_000_000, 1_700_003_600], "flow": [1, 2]}))

    assert series.step == 3600


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        ("rows.csv", "not as str"),
        (polars.DataFrame({"a": [1]}).lazy(), "collect"),
        (pandas.DataFrame(), "no columns"),
        (pandas.DataFrame({"a": []}), "no rows"),
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "'a' more than once.*Give each its own"),
        (pandas.DataFrame([[1, 2]], columns=[1, "1"]), "'1' more than once"),
        (pandas.DataFrame({"time": [1], "a": 2}, pandas.to_datetime(["2024-01-01"])), "index .*'time'.*reset_index"),
        (pandas.DataFrame({"a": [np.ones(2), "x"]}), "No column .* holds numbers"),
        (pandas.DataFrame({"a": [torch.ones(2), "x"]}), "No column .* holds numbers"),
        (np.array([2**53, 2**53 + 1]), "2\\*\\*53.* same.*Take a constant off"),
        (pandas.DataFrame({"flow": ["1", "2", "x"]}), "Row 2, column 'flow': 'x' is text"),
        (pandas.DataFrame({"when": pandas.to_datetime(["2024-01-01", None]), "flow": [1, 2]}), "Row 1, column 'when'"),
    ],
)
def test_what_cannot_be_used_is_refused(table, words):
    """By row and column, rows counted from 0 as tables do."""
    with pytest.raises(DataError, match=words):
        series_of(table)


@pytest.mark.parametrize("name", [0, 1.5, math.nan, ("a", 1), ""])
def test_columns_are_called_by_texts(name):
    """Whatever pandas has in the place of a name, of a column and of an index of times."""
    hours = pandas.date_range("2024-01-01", periods=3, freq="h", name=("when", 1))
    table = pandas.DataFrame([[1.0, 5.0], [2.0, 7.0], [4.0, 6.0]], hours, [name, "b"])

    series = series_of(table)

    assert series.names == (str(name), "b") and series.time_name == "('when', 1)"
    assert series_of(table, value=str(name), continuous=["b"]).names == (str(name), "b")


def test_a_name_may_be_given_as_the_number_that_it_is():
    table = pandas.DataFrame([[1.0, 5.0], [2.0, 7.0]], columns=[0, 1])

    assert series_of(table, value=1, continuous=[0]).names == ("1", "0")


def test_a_column_without_a_name_is_named_all_the_same():
    """An empty text is not taken for a name left out."""
    assert series_of(pandas.DataFrame({"b": [1.0, 2.0], "": [3.0, 5.0]}), value="").names[0] == ""


@pytest.mark.parametrize(
    "columns",
    [{"time": 1.5}, {"value": ["a"]}, {"value": np.array([1, 2])}, {"continuous": 3.5}, {"categorical": [None]}],
)
def test_what_is_no_name_is_refused(columns):
    with pytest.raises(WrongKind, match=f"{next(iter(columns))}="):
        series_of(pandas.DataFrame({"a": [1.0, 2.0]}), **columns)
