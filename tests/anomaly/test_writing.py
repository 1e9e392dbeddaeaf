"""Rows go back as they came, with new columns behind."""

import csv
import io
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.reading import read
from fulgurite.anomaly.series import Category, Series
from fulgurite.anomaly.writing import write_scores, write_series
from fulgurite.base.errors import DataError

pytest.importorskip("pandas")

WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
NUMBERS = st.floats(allow_nan=True, allow_infinity=False)
MOMENTS = st.datetimes(min_value=datetime(1800, 1, 1), max_value=datetime(2200, 1, 1))


def cells_of(path, separator=","):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter=separator))


@given(
    st.lists(st.tuples(MOMENTS, st.floats(allow_nan=False), WORDS, st.floats(allow_nan=True)), min_size=2, max_size=20),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_cells_stay_the_text_they_were(tmp_path_factory, lines, separator, encoding):
    """Whatever a cell holds, a scored copy holds it too, in its row, and the score to nine digits behind it."""
    header = ["time", "value", "a, b; c|d"]
    given_rows = [
        [f"{moment:%Y-%m-%d %H:%M:%S.%f}".rjust(26, "0"), str(value), word] for moment, value, word, _ in lines
    ]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows([header, *given_rows])
    scores = np.array([score for *_, score in lines])
    target = tmp_path_factory.mktemp("written") / "scores.csv"

    names = write_scores(io.BytesIO(text.getvalue().encode(encoding)), {"score": scores, "value": scores > 0}, target)

    found = cells_of(target, separator)
    assert names == {"score": "score", "value": "value_new"}
    assert found[0] == [*header, "score", "value_new"]
    assert [row[:3] for row in found[1:]] == given_rows
    behind = [float(row[3]) if row[3] else np.nan for row in found[1:]]
    np.testing.assert_allclose(behind, scores, rtol=1e-8)
    assert [row[4] for row in found[1:]] == [str(int(score > 0)) for score in scores]


@given(st.lists(st.tuples(MOMENTS, NUMBERS, NUMBERS, st.booleans(), st.integers(-1, 1)), min_size=2, max_size=20))
def test_a_written_series_is_read_back(tmp_path_factory, lines):
    """To the microsecond and the last digit."""
    lines = sorted(lines, key=lambda line: line[0])
    time = np.array([line[0] for line in lines], "datetime64[us]")
    values = np.array([line[1:3] for line in lines])
    if np.isnan(values).all(axis=0).any():
        values[0] = 1.0
    word = Category("pump", np.array([line[4] for line in lines], np.int32), ("left, lower", "right"))
    series = Series(time, time, values, ("value", "flow"), (word,), np.array([line[3] for line in lines]))
    target = tmp_path_factory.mktemp("written") / "series.csv"

    write_series(series, target)
    back = read(target, time="time", value="value", continuous="flow", categorical="pump", label="label")

    np.testing.assert_array_equal(back.time, series.time)
    np.testing.assert_array_equal(back.values, series.values)
    np.testing.assert_array_equal(back.label, series.label)
    words = [("", *back.categories[0].words)[code + 1] for code in back.categories[0].codes]
    assert words == [("", *word.words)[code + 1] for code in word.codes]


def test_offsets_of_a_series_are_written(tmp_path):
    """Both hours of the night in which clocks go back are told apart."""
    time = np.array(["2022-10-30T00:00", "2022-10-30T01:00", "2022-10-30T02:00"], "datetime64[us]")
    clock = time + np.array([2, 1, 1], "timedelta64[h]")

    write_series(Series(time, clock, np.arange(3.0)[:, None], ("value",)), tmp_path / "night.csv")
    back = read(tmp_path / "night.csv")

    assert back.time.tolist() == time.tolist() and back.clock.tolist() == clock.tolist()


def test_a_series_out_of_order_is_written_as_its_source_was(tmp_path):
    """Columns in the order of the source meet their rows."""
    source = io.StringIO("time,value\n2024-01-02,2\n2024-01-01,1\n2024-01-03,3\n")

    write_scores(read(source), {"score": np.array([0.2, 0.1, 0.3])}, tmp_path / "scores.csv")

    assert [row[1:] for row in cells_of(tmp_path / "scores.csv")[1:]] == [
        ["2.0", "0.2"],
        ["1.0", "0.1"],
        ["3.0", "0.3"],
    ]


def test_a_decimal_comma_is_kept(tmp_path):
    """New numbers are written as the file's own are."""
    source = tmp_path / "in.csv"
    source.write_text("time;value\n2024-01-01;1,5\n2024-01-02;2,5\n", encoding="utf-8")

    write_scores(source, {"score": np.array([0.25, np.nan])}, tmp_path / "out.csv")

    assert (tmp_path / "out.csv").read_text() == "time;value;score\n2024-01-01;1,5;0,25\n2024-01-02;2,5;\n"


@pytest.mark.parametrize("count", [1, 3])
def test_a_file_that_has_changed_is_refused_and_nothing_is_left(tmp_path, count):
    """No half a copy, and no temporary file."""
    source = tmp_path / "in.csv"
    source.write_text("time,value\n2024-01-01,1\n2024-01-02,2\n")

    with pytest.raises(DataError, match="changed in between"):
        write_scores(source, {"score": np.zeros(count)}, tmp_path / "out.csv")

    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_the_generators_rows_can_be_scored(tmp_path):
    """A series without a file is written whole, its label too."""
    pytest.importorskip("holidays")
    series = generate(rows=500, each=1)

    write_scores(series, {"score": np.arange(500.0)}, tmp_path / "scores.csv")
    back = read(tmp_path / "scores.csv", value="value", continuous="score")

    np.testing.assert_array_equal(back.values[:, 1], np.arange(500))
    np.testing.assert_array_equal(back.label, series.label)
