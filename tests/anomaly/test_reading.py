"""From a CSV to a series: what is guessed, repaired and refused, each with its words."""

import io
import time as clocks
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.anomaly.cells import Written
from fulgurite.anomaly.reading import check_for_fit, read, read_columns
from fulgurite.base.errors import DataError

pytest.importorskip("pandas")

TRAPS = Path(__file__).parent / "data" / "traps.csv"
NAB = Path(__file__).parents[3] / "shared" / "data" / "nab"
HOURS = [f"2024-01-01 {hour:02d}:00:00" for hour in range(24)]


def rows(text: str | bytes, **named):
    return read(io.BytesIO(text) if isinstance(text, bytes) else io.StringIO(text), **named)


def table(*columns: list, header: str = "time,value") -> str:
    lines = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([header, *lines]) + "\n"


def told(series, word: str) -> bool:
    return any(word in note for note in series.notes)


class TestTraps:
    """One file with fifty rows and most of what files do."""

    def test_all_rows_are_there_in_order_of_the_moment(self):
        """The hour that summer time repeats, two twins and three shuffled rows end up in their places."""
        series = read(TRAPS)

        assert len(series) == 50
        assert (np.diff(series.time) >= np.timedelta64(0)).all()
        assert series.order.tolist() == [*range(38), 40, 39, 38, *range(41, 50)]

    def test_instants_are_utc_and_the_clock_is_local(self):
        """Two o'clock comes twice on the clock, an hour apart."""
        series = read(TRAPS)
        two = np.flatnonzero(series.clock == np.datetime64("2022-10-30T02:00"))

        assert series.time[two].astype(str).tolist() == ["2022-10-30T00:00:00.000000", "2022-10-30T01:00:00.000000"]

    def test_cells_without_a_number_are_nan(self):
        """`NA`, nothing and both infinities; `1.0e2` and blanks around a number are numbers."""
        series = read(TRAPS)

        assert np.flatnonzero(np.isnan(series.value)).tolist() == [4, 9, 12, 13]
        assert series.value[17:19].tolist() == [100.0, 101.5]

    def test_words_keep_commas_and_quotes(self):
        """Quoted text is one cell; an empty one has no code."""
        pump = read(TRAPS).categories[0]

        assert pump.name == "pump"
        assert pump.words == ("south", "north", "north, upper", 'the "old" one', "west")
        assert pump.codes[20] == -1

    def test_every_repair_is_said(self):
        """Offsets, missing numbers, order, twins and gaps."""
        series = read(TRAPS)

        for words in ("+01:00, +02:00", "4 rows, 2 of them infinite", "goes back 2 times", "time of the row before"):
            assert told(series, words), words
        assert told(series, "2 gaps") and told(series, "4 h, after 2022-10-30 22:00")
        assert not told(series, "set back")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("time,value\n", "no row of data"),
        ("time,value\n2024-01-01,1\n2024-01-02,x\n2024-01-03,3\n", "Line 3 .*column 'value': 'x' is text"),
        ("time,value\n2024-01-01,1\n2024-01-02,1_0\n2024-01-03,3\n", "Line 3 .*'1_0' is text"),
        ('time,value,n\n2024-01-01,1,"a\nb"\n\n2024-01-02,2,c\n2024-01-03,x,c\n', "Line 6 .*'x'"),
        ("time,value,temp\n2024-01-01,1,2\n2024-01-02,e,4\n2024-01-03,3,5\n", "column 'value': 'e'"),
        ("time,value\n2024-01-01,1\nsoon,2\n2024-01-03,3\n", "Line 3 .*column 'time': 'soon' is no time"),
        ("when,value\nsoon,1\n2024-01-01,2\n2024-01-03,3\n", "Line 2 .*column 'when': 'soon' is no time"),
        ("time,value\n2024-01-01,1\n,2\n2024-01-03,3\n", "Line 3 .*has no time"),
        ("time,value\n2024-01-01 00:00Z,1\n2024-01-01 01:00,2\n", "names no zone"),
        ("time,value\n2024-01-01 00:00,1\n2024-01-01 01:00+01:00,2\n", "names a zone"),
        ("time,value\n2024-01-01,1\n2024-01-02,2,3\n", "Line 3 has 3 cells, the header names 2"),
        ("time,value,value\n2024-01-01,1,2\n", "'value' more than once"),
        ('time,value\n2024-01-01,"1\n2024-01-02,2\n', "quote"),
        ("2024-01-01,1\n2024-01-02,2\n", "has to name the columns"),
        ("time,word\n2024-01-01,a\n2024-01-02,b\n", "No column .*numbers"),
        ("time,value\n2024-01-01,\n2024-01-02,nan\n", "No column .*numbers"),
        (b"\x00\x01\x02\x03", "binary"),
        (b"PK\x03\x04....", "Excel"),
        (b"\xff\xfea\x00\x00\xd8", "begins as utf-16"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_place(text, words):
    """The message has the line, the column and the cell, or what the file is instead."""
    with pytest.raises(DataError, match=words):
        rows(text)


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"value": "vlaue"}, "'vlaue'.*It has 'time', 'value', 'mark'. Did you mean 'value'"),
        ({"time": "value"}, "does not hold times"),
        ({"value": "value", "continuous": ["value"]}, "named for two things"),
        ({"label": "mark"}, "'7' is no label"),
    ],
)
def test_a_name_that_cannot_be_meant_is_refused(named, words):
    """With the names there are, and the nearest."""
    with pytest.raises(DataError, match=words):
        rows(table(HOURS, [5] * 24, [7] * 24, header="time,value,mark"), **named)


def test_places_that_hold_no_file_are_refused(tmp_path):
    """No file, and a folder."""
    with pytest.raises(DataError, match="no file"):
        read(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found_out(separator):
    """All but the comma are said."""
    series = rows(table(HOURS, range(24)).replace(",", separator))

    assert series.value.tolist() == list(range(24))
    assert told(series, "separated by") == (separator != ",")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
def test_encodings_are_found_out(encoding):
    """The name of the column comes out the same."""
    series = rows(table(HOURS, range(24), header="Zeit,Größe").encode(encoding))

    assert series.names == ("Größe",)
    assert told(series, "encoded as") == (not encoding.startswith("utf-8"))


def test_a_decimal_comma_is_found_out():
    """Thousands may have points then."""
    series = rows("time;value\n01.02.2024 00:00;1,5\n01.02.2024 01:00;1.002,25\n01.02.2024 02:00;3\n")

    assert series.value.tolist() == [1.5, 1002.25, 3.0]
    assert told(series, "decimal comma")


@pytest.mark.parametrize(
    ("text", "numbers", "note"),
    [
        ('time,value\n2024-01-01,"1,234"\n2024-01-02,"12,345,678"\n2024-01-03,7\n', [1234, 12345678, 7], "thousands"),
        ('time,value\n2024-01-01,"1,234.5"\n2024-01-02,7.25\n', [1234.5, 7.25], "thousands"),
        ('time,value\n2024-01-01,"1,5"\n2024-01-02,"1,234"\n', [1.5, 1.234], "decimal comma"),
        ("time;value\n2024-01-01;1,234\n2024-01-02;7\n", [1.234, 7], "decimal comma"),
    ],
)
def test_commas_in_numbers_are_thousands_or_decimals(text, numbers, note):
    """By what the other cells and the separator say; either is told."""
    series = rows(text)

    assert series.value.tolist() == numbers
    assert told(series, note)


@pytest.mark.parametrize("cell", ["0,254", "1,254", "12,5"])
def test_a_comma_that_the_first_rows_do_not_show_is_refused(cell):
    """Neither mark is known then: 1,254 taken for a thousand might be wrong by a factor of a thousand."""
    text = "n;value\n" + "".join(f"a;{place % 5}\n" for place in range(1_050))

    with pytest.raises(DataError, match=f"Line 1052 .*column 'value': '{cell}' .*comma"):
        rows(f"{text}a;{cell}\na;3\n", value="value")


def test_later_thousands_are_read_where_they_can_mean_nothing_else():
    """Beside a point, or where the first rows have such numbers."""
    text = "value\n" + "".join(f"{place % 5}\n" for place in range(1_050))

    assert rows(f'{text}"1,254.5"\n').value[-1] == 1254.5
    assert rows(f'value\n"1,000"\n{text[6:]}"1,254"\n').value[-1] == 1254
    assert rows('value\n"0,254"\n"0,500"\n').value.tolist() == [0.254, 0.5]


@pytest.mark.parametrize(
    ("cells", "moments"),
    [
        (["01.02.2024 13:00", "02.02.2024 13:00"], ["2024-02-01T13", "2024-02-02T13"]),
        (["01/31/2024 1:00 PM", "02/01/2024 1:00 PM"], ["2024-01-31T13", "2024-02-01T13"]),
        (["31/01/2024 13:00", "01/02/2024 13:00"], ["2024-01-31T13", "2024-02-01T13"]),
        (["1700000000", "1700003600"], ["2023-11-14T22:13:20", "2023-11-14T23:13:20"]),
        (["1700000000123", "1700003600123"], ["2023-11-14T22:13:20.123", "2023-11-14T23:13:20.123"]),
        (["20240131", "20240201"], ["2024-01-31", "2024-02-01"]),
        (["2024-01-31T00:00:00.5Z", "2024-01-31T00:00:01.25Z"], ["2024-01-31T00:00:00.5", "2024-01-31T00:00:01.25"]),
        (["31 Jan 2024 13:00", "01 Feb 2024 13:00"], ["2024-01-31T13", "2024-02-01T13"]),
        (["2024/01/31 13:00 +0200", "2024/01/31 14:00 +0200"], ["2024-01-31T11", "2024-01-31T12"]),
    ],
)
def test_times_are_read_in_many_forms(cells, moments):
    """Words, day or month first, halves of a day, counts since 1970, offsets."""
    series = rows(table(cells, [1, 2]))

    assert series.time.tolist() == np.array(moments, "datetime64[us]").tolist()


def test_day_and_month_are_told_apart_by_a_later_row():
    """The first thousand rows fit both; the row that fits one alone decides for all."""
    cells = [f"0{1 + i % 2}/0{1 + i % 2}/2024 00:{i % 60:02d}" for i in range(1200)] + ["25/02/2024 00:00"]

    series = rows(table(cells, range(1201)))

    assert series.clock[-1] == np.datetime64("2024-02-25")
    assert told(series, "day/month/year")


@pytest.mark.parametrize(("format", "month"), [("%d/%m/%Y", 4), ("%m/%d/%Y", 3), ("%Y-%m-%d", 3), (None, 3)])
def test_what_a_file_leaves_open_is_read_as_in_training(format, month):
    """A format that fits is preferred; one that doesn't, is not."""
    series = rows("time,value\n03/04/2024,1\n03/05/2024,2\n", written=Written(format, None))

    assert series.clock[0] == np.datetime64(f"2024-0{month}-0{7 - month}")


def test_an_hour_that_a_clock_repeats_is_said():
    """Without offsets the rows stand two by two, and the note says how to keep them apart."""
    clock = ["2024-10-27 01:30", "2024-10-27 02:00", "2024-10-27 02:30", "2024-10-27 02:00", "2024-10-27 02:30"]

    series = rows(table([*clock, "2024-10-27 03:00"], range(6)))

    assert series.order.tolist() == [0, 1, 3, 2, 4, 5]
    assert told(series, "set back for winter") and told(series, "2 rows have the time of the row before")


def test_rows_without_times_are_counted():
    """One second a row, no clock, and it is said."""
    series = rows("level\n3\n1\n2\n")

    assert series.clock is None and series.step == 1.0
    assert told(series, "No column holds times")


def test_further_columns_get_their_parts_by_what_they_hold():
    """Numbers, few words, a label; ids, free text and earlier scores stay out."""
    columns = {
        "id": range(100),
        "timestamp": [f"2024-01-01 {i // 60:02d}:{i % 60:02d}" for i in range(100)],
        "flow": [i * 0.5 for i in range(100)],
        "value": [i % 7 for i in range(100)],
        "pump": ["ab"[i % 2] for i in range(100)],
        "remark": [f"text {i}" for i in range(100)],
        "label": ["true" if i == 5 else "false" for i in range(100)],
        "score": range(100),
        "is_anomaly": [0] * 100,
        "expected": range(100),
        "score_level": range(100),
    }
    series = rows(table(*columns.values(), header=",".join(columns)))

    assert series.names == ("value", "flow")
    assert [category.name for category in series.categories] == ["pump"]
    assert series.label.nonzero()[0].tolist() == [5]
    assert series.time_name == "timestamp"
    assert told(series, "Not used") and told(series, "earlier scoring")


@pytest.mark.parametrize(
    ("names", "label", "continuous"),
    [
        (("anomaly_label",), "anomaly_label", ()),
        (("isOutlier", "flow"), "isOutlier", ("flow",)),
        (("anomaly", "changepoint"), "anomaly", ()),
        (("change_point", "anomaly_label", "flow"), None, ("flow",)),
        (("ground_truth", "labelled"), "ground_truth", ("labelled",)),
    ],
)
def test_columns_that_name_what_is_to_be_found_are_no_inputs(names, label, continuous):
    """A single one of 0 and 1 holds the labels; any other is left out, and that is said."""
    marks = [[int(hour % 7 == place) for hour in range(24)] for place in range(len(names))]
    series = rows(table(HOURS, range(5, 29), *marks, header=",".join(["time", "value", *names])))

    assert series.names == ("value", *continuous)
    assert (series.label is None) == (label is None)
    assert label is None or told(series, f"{label!r} is taken for labels")
    left = [name for name in names if name not in (label, *continuous)]
    assert all(told(series, "marks") and told(series, repr(name)) for name in left)


def test_a_column_may_be_named_for_what_it_marks():
    """Where it is asked for, or where there is no other to watch."""
    assert rows(table(HOURS, range(5, 29), header="time,anomaly")).names == ("anomaly",)
    text = table(HOURS, range(5, 29), range(7, 55, 2), header="time,value,label_speed")
    assert rows(text).names == ("value",)
    assert rows(text, continuous="label_speed").names == ("value", "label_speed")


def test_naming_further_columns_leaves_the_others_out():
    """Also naming none."""
    text = table(HOURS, range(24), range(5, 29), ["a", "b"] * 12, header="time,value,flow,pump")

    assert rows(text, continuous=(), categorical="pump").names == ("value",)
    assert rows(text, continuous="flow").categories == ()


def test_what_is_left_out_by_naming_others_is_said():
    series = rows("time,mode,load,value\n2024-01-01,a,1,2.5\n2024-01-02,b,2,3.5\n", categorical=["mode"])

    assert series.names == ("value",)
    assert told(series, "only some of the further columns were named: 'load'")


def test_a_column_called_time_that_holds_none_is_refused():
    """To count rows instead would hide that hours and days are lost."""
    with pytest.raises(DataError, match="column 'time' .* does not hold times: e.g. 'kaputt'"):
        rows("time,value\nkaputt,1\nkaputt,2\n")


def test_a_constant_can_be_read_but_not_learned():
    """Scoring a quiet hour is fine; learning from it is not."""
    series = rows(table(HOURS, [4] * 24))

    assert told(series, "constant (4)")
    with pytest.raises(DataError, match="'value' is 4 in all 24 rows"):
        check_for_fit(series, window=2)


def test_one_row_and_an_empty_column_can_be_read_but_not_learned():
    """To score the last row is fine, also where a sensor beside it is silent."""
    one = rows(table(HOURS[:1], [4], [""], header="time,value,flow"), value="value", continuous="flow")
    more = rows(table(HOURS, range(24), [""] * 24, header="time,value,flow"), value="value", continuous="flow")

    assert len(one) == 1 and np.isnan(one.values[0, 1])
    with pytest.raises(DataError, match="has not one number in 1 row "):
        check_for_fit(one, window=1)
    with pytest.raises(DataError, match="'flow' has not one number in 24 rows"):
        check_for_fit(more, window=1)


def test_too_few_numbers_are_not_learned_from():
    """Rows without a number do not count."""
    series = rows(table(HOURS, [*range(12), *[""] * 12]))

    check_for_fit(series, window=4)
    with pytest.raises(DataError, match="12 numbers in 24 rows .* need at least 15"):
        check_for_fit(series, window=5)


def test_columns_are_read_back_by_name():
    """What a report needs of a scored file."""
    found = read_columns(io.StringIO("a;score\n1,5;\nx;2,25\n"), ["score"])

    np.testing.assert_array_equal(found["score"], [np.nan, 2.25])


def test_rows_and_progress_are_the_same_in_many_pieces(monkeypatch):
    """Words met in a later piece have codes too."""
    cells = [f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00" for i in range(600)]
    text = table(cells, range(600), ["early"] * 400 + ["late"] * 200, header="time,value,part")
    whole = rows(text)
    monkeypatch.setattr("fulgurite.anomaly.textfile.TextFile.pieces.__defaults__", (7,))
    counts: list[int] = []

    pieces = rows(text, done=counts.append)

    np.testing.assert_array_equal(pieces.values, whole.values)
    np.testing.assert_array_equal(pieces.categories[0].codes, whole.categories[0].codes)
    assert sum(counts) == 600 and max(counts) == 7


@given(st.binary(max_size=200), st.integers(0, 300))
def test_no_bytes_make_it_fail_in_another_way(garbage, place):
    """Whatever stands in a file, it is read or refused with a word."""
    good = TRAPS.read_bytes()[:600]
    for content in (garbage, good[:place] + garbage + good[place:], b"time,value\n" + garbage):
        with suppress(DataError):
            assert len(rows(content)) > 1


@pytest.mark.nab
@pytest.mark.skipif(not NAB.exists(), reason="the NAB series are not beside the checkout")
@pytest.mark.parametrize(
    ("name", "count", "notes"),
    [
        ("machine_temperature_system_failure", 22_695, ["goes back once", "12 rows have the time"]),
        ("ec2_request_latency_system_failure", 4_032, ["11 rows have the time"]),
        ("nyc_taxi", 10_320, []),
    ],
)
def test_the_benchmarks_own_traps_are_found(name, count, notes):
    """The counted twins and the jump back, and nothing where nothing is."""
    series = read(NAB / f"{name}.csv")

    assert len(series) == count and series.names == ("value",)
    assert all(told(series, note) for note in notes)
    assert len(series.notes) > 2 or not notes


@pytest.mark.slow
def test_a_million_rows_take_few_bytes_each(tmp_path):
    """What is kept is 24 bytes a row, and reading takes seconds."""
    path = tmp_path / "long.csv"
    moments = np.datetime64("2000-01-01", "s") + np.arange(10**6) * np.timedelta64(30, "s")
    path.write_text("time,value\n" + "".join(f"{moment},{i % 97}.5\n" for i, moment in enumerate(moments.astype(str))))

    start = clocks.process_time()
    series = read(path)

    assert clocks.process_time() - start < 10
    assert series.clock is series.time
    assert (series.time.nbytes + series.values.nbytes + series.order.nbytes) / 10**6 == 24
