"""Anomaly windows from the forms in which people keep them."""

import json
from pathlib import Path

import numpy as np
import pytest

from fulgurite.anomaly.labels import labels_of, read_windows
from fulgurite.anomaly.reading import read
from fulgurite.base.errors import DataError

pytest.importorskip("pandas")

NAB = Path(__file__).parents[3] / "shared" / "data" / "nab"
PAIR = ["2024-01-01 01:00:00.000000", "2024-01-01 02:00:00.000000"]


@pytest.fixture
def hours(tmp_path):
    path = tmp_path / "hours.csv"
    path.write_text("time,value\n" + "".join(f"2024-01-01 {hour:02d}:00,{hour}\n" for hour in range(5)))
    return read(path)


@pytest.mark.parametrize(
    ("text", "name", "csv_name"),
    [
        (json.dumps([PAIR]), "windows.json", None),
        (json.dumps({"known/hours.csv": [PAIR], "other.csv": []}), "windows.json", "data/known/hours.csv"),
        (json.dumps({"known/hours.csv": [PAIR]}), "windows.json", "hours.csv"),
        ("start,end\n2024-01-01 01:00,2024-01-01 02:00\n", "windows.csv", None),
    ],
)
def test_windows_label_rows_from_start_to_end(tmp_path, hours, text, name, csv_name):
    """Both ends belong to the anomaly."""
    (tmp_path / name).write_text(text)

    windows = read_windows(tmp_path / name, csv_name)

    assert labels_of(hours, windows).tolist() == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("window", "labelled"),
    [
        (["2024-01-10T00:00Z", "2024-01-10T02:00Z"], [9, 10, 11]),
        (["2024-01-10 01:00+01:00", "2024-01-10 03:00+01:00"], [9, 10, 11]),
        (["2024-01-10 09:00", "2024-01-10 11:00"], [9, 10, 11]),
    ],
)
def test_a_window_with_an_offset_is_of_moments(tmp_path, window, labelled):
    """Rows nine hours ahead of UTC are compared by the moment, and by their clock where a window names no offset."""
    path = tmp_path / "tokyo.csv"
    path.write_text("time,value\n" + "".join(f"2024-01-10 {hour:02d}:00+09:00,{hour}\n" for hour in range(24)))
    (tmp_path / "windows.json").write_text(json.dumps([window]))

    assert np.flatnonzero(labels_of(read(path), read_windows(tmp_path / "windows.json"))).tolist() == labelled


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"a.csv": []}, "no windows for hours.csv. It has 'a.csv'"),
        ({"x/hours.csv": [], "y/hours.csv": []}, "more than one"),
        ([["2024-01-01"]], "window 1"),
        ([PAIR[::-1]], "before it starts"),
        ([["2024-01-01 00:00Z", "2024-01-01 02:00"]], "only one of them names an offset"),
        ([["soon", "later"]], "'soon' is no time"),
        (5, "neither a list"),
    ],
)
def test_other_forms_are_refused(tmp_path, found, words):
    """With what the file has instead."""
    (tmp_path / "windows.json").write_text(json.dumps(found))

    with pytest.raises(DataError, match=words):
        read_windows(tmp_path / "windows.json", "hours.csv")


def test_rows_without_times_have_no_windows(tmp_path):
    """A window is a time."""
    (tmp_path / "plain.csv").write_text("value\n3\n1\n")

    with pytest.raises(DataError, match="these rows have none"):
        labels_of(read(tmp_path / "plain.csv"), [])


@pytest.mark.nab
@pytest.mark.skipif(not NAB.exists(), reason="the NAB series are not beside the checkout")
def test_the_benchmarks_windows_meet_their_rows():
    """Each series of the folder has the rows of its windows labelled, about a tenth of all."""
    for path in sorted(NAB.glob("*.csv")):
        windows = read_windows(NAB / "windows.json", path)
        label = labels_of(read(path), windows)

        assert 0.04 < label.mean() < 0.2
        assert np.diff(label.astype(int)).clip(0).sum() == len(windows)
