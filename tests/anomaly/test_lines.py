"""Rows that arrive as lines are what they are in a whole file."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.anomaly.lines import RowReader
from fulgurite.anomaly.reading import read
from fulgurite.anomaly.schema import Schema
from fulgurite.anomaly.series import Series
from fulgurite.base.errors import DataError

pytest.importorskip("pandas")

TRAPS = Path(__file__).parent / "data" / "traps.csv"
SCHEMA = Schema("value", (), (), 60.0, clocked=True, time="time")


def traps() -> tuple[list[bytes], Schema]:
    return TRAPS.read_bytes().split(b"\n"), Schema.of(read(TRAPS, time="time", categorical="pump"))


@given(st.lists(st.integers(1, 12), min_size=1, max_size=20))
def test_pieces_of_any_size_give_the_rows_of_the_file(sizes):
    """Also a record that two lines share; only what comes too late differs."""
    lines, schema = traps()
    whole = read(TRAPS, time="time", categorical="pump")
    reader, pieces = RowReader(schema), []
    while lines:
        size = sizes[len(pieces) % len(sizes)]
        lines, piece = lines[size:], reader.feed(lines[:size])
        pieces.append(piece)
    series = [piece for piece in pieces if piece is not None]

    late = np.array([39, 40])
    kept = np.setdiff1d(np.arange(50), late)
    value = np.concatenate([piece.value for piece in series])
    np.testing.assert_array_equal(value[kept], whole.value[np.argsort(whole.order)][kept])
    assert np.isnan(value[late]).all()
    assert reader.rows == 50
    assert (np.diff(np.concatenate([piece.time for piece in series])) >= np.timedelta64(0)).all()
    words = [word for piece in series for word in words_of(piece)]
    assert words == [words_of(whole)[place] for place in np.argsort(whole.order)]


def words_of(series: Series) -> list[str]:
    column = series.categories[0]
    return [("", *column.words)[code + 1] for code in column.codes]


def test_a_late_row_is_said_and_has_no_number():
    """It takes the time of the row before it, so that time never goes back."""
    reader = RowReader(SCHEMA)

    first = reader.feed(["time,value", "2024-01-01 00:10,1"])
    second = reader.feed(["2024-01-01 00:05,2", "2024-01-01 00:11,3"])

    assert first.value.tolist() == [1.0]
    assert np.isnan(second.value[0]) and second.value[1] == 3.0
    assert second.time[0] == first.time[0]
    assert second.notes == ("Rows earlier than one before them are not judged: line 3.",)


def test_the_separator_is_that_of_the_models_columns():
    """Other columns may come and go, and stand in any order."""
    reader = RowReader(SCHEMA)

    series = reader.feed(["room;value;time", "a;1,5;2024-01-01 00:10"])

    assert reader.separator == ";" and reader.cells == [["a", "1,5", "2024-01-01 00:10"]]
    assert series.value.tolist() == [1.5]


def test_rows_without_times_are_counted_on():
    """The count goes on from piece to piece, and from reader to reader by the state."""
    schema = Schema("value", (), (), 1.0, clocked=False)
    reader, heir = RowReader(schema), RowReader(schema)

    reader.feed(["value", "1", "2"])
    heir.load_state_dict(reader.state_dict())
    series = heir.feed(["3"])

    assert series.time.astype(np.int64).tolist() == [2_000_000] and series.order.tolist() == [2]


def test_only_a_quote_that_opens_a_cell_is_one():
    """Inches in a cell keep back no line; a cell that begins with a quote goes on until it ends."""
    reader = RowReader(SCHEMA)

    reader.feed(["note,time,value", '5" pipe,2024-01-01,1', '"5"" pipe",2024-01-02,2', '"5"" a'])
    assert reader.cells == [['5" pipe', "2024-01-01", "1"], ['5" pipe', "2024-01-02", "2"]]
    reader.feed(['b",2024-01-03,3'])
    assert reader.cells == [['5" a\nb', "2024-01-03", "3"]]


def test_a_header_with_quotes_may_have_any_separator():
    """A quote ends before a semicolon too."""
    reader = RowReader(SCHEMA)

    assert reader.feed(['"time";"value"', '2024-01-01;"1,5"']).value.tolist() == [1.5]


def test_what_the_first_lines_leave_open_is_read_as_in_training():
    """Day or month first, and a comma that could stand for thousands."""
    american = Schema("value", (), (), 60.0, clocked=True, time="time", time_format="%m/%d/%Y", decimal=",")
    european = Schema("value", (), (), 60.0, clocked=True, time="time", time_format="%d/%m/%Y")
    lines = ["time,value", '03/04/2024,"1,254"']

    one, other = (RowReader(schema).feed(lines) for schema in (american, european))

    assert [str(each.clock[0])[:10] for each in (one, other)] == ["2024-03-04", "2024-04-03"]
    assert [each.value[0] for each in (one, other)] == [1.254, 1254]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["time,vlaue"], "no column 'value' in the header .*Did you mean 'vlaue'"),
        (["time,value", "2024-01-01,1,2"], "Line 2 has 3 cells"),
        (["time,value", "2024-01-01,1", "2024-01-01,x"], "Line 3, column 'value': 'x' is text"),
        (["time,value", "then,1"], "does not hold times"),
        (["time,value", '2024-01-01,"1"2'], "Line 2: .*quote"),
        (["time,value", "2024-01-01,1", "then,1"], "Line 3, column 'time': 'then'"),
    ],
)
def test_lines_that_cannot_be_used_are_refused_by_their_number(lines, words):
    """As a file's are."""
    reader = RowReader(SCHEMA)

    with pytest.raises(DataError, match=words):
        for line in lines:
            reader.feed([line])


def test_a_header_alone_is_no_row():
    """Nor is an empty line."""
    assert RowReader(SCHEMA).feed(["time,value", "", " "]) is None


def test_the_same_words_are_said_as_for_a_file():
    """One parser for both."""
    text = "time,value\n2024-01-01,1\n2024-01-02,x\n2024-01-03,1\n"
    with pytest.raises(DataError) as of_file:
        read(io.StringIO(text))
    with pytest.raises(DataError) as of_lines:
        RowReader(SCHEMA).feed(text.splitlines())

    assert str(of_lines.value) == str(of_file.value).replace(" of the input", "")
