"""What is read off the wall clock."""

import time

import numpy as np
import pytest

from fulgurite.anomaly.calendars import calendar_features, document_features, nearness
from fulgurite.base.errors import DataError

pytest.importorskip("holidays")


def at(*words: str) -> np.ndarray:
    return np.array(words, "datetime64[us]")


def test_hour_and_weekday_are_those_of_the_clock():
    """A Monday at half past six is hour 6 of day 0, and a quarter of a day is at the top of the sine."""
    found = calendar_features(at("2024-01-01T06:30", "2024-01-07T06:00"))

    assert found["hour"].tolist() == [6, 6]
    assert found["day_of_week"].tolist() == [0, 6]
    assert found["sin_day"][1] == pytest.approx(1.0)
    assert found["cos_week"][1] == pytest.approx(np.cos(2 * np.pi * 6.25 / 7), abs=1e-6)
    assert "holiday" not in found


def test_the_gap_counts_signed_days_from_the_nearest_holiday():
    """Christmas Eve is one day before, 28 December three days after, and halfway the former holiday counts."""
    found = calendar_features(at("2023-12-24", "2023-12-25T23:59", "2023-12-28", "2023-12-31", "2024-01-08"), "US")

    assert found["gap_holiday"].tolist() == [-1, 0, 3, -1, 7]
    assert found["holiday"].tolist() == [False, True, False, False, False]


def test_a_part_of_a_country_has_its_own_holidays():
    """Cesar Chavez Day is free in California, not in the United States at large."""
    day = at("2023-03-31T12:00")

    assert calendar_features(day, "US-CA")["holiday"].tolist() == [True]
    assert calendar_features(day, "us")["holiday"].tolist() == [False]


@pytest.mark.parametrize(("code", "hint"), [("italy", "IT (Italy)"), ("XX", "XK"), ("US-CALI", "US-CA"), ("", "US-CA")])
def test_an_unknown_code_is_refused_with_a_near_one(code, hint):
    """Who writes a country's name is told its code."""
    with pytest.raises(DataError, match="holidays=") as caught:
        calendar_features(at("2023-03-31"), code)
    assert hint in str(caught.value)


def test_the_documents_columns_are_made_as_they_were():
    """`t` counts units of 100 seconds, `hour_min` has minutes as a fraction and drops seconds."""
    moment = at("2014-01-21T15:45:59")

    found = {name: values.item() for name, values in document_features(moment, moment).items()}

    assert found == {
        "day": 21,
        "month": 1,
        "year": 2014,
        "hour_min": 15.75,
        "day_of_week": 1,
        "holiday": 0,
        "gap_holiday": 1,
        "t": int(1390319159e9 / 1e11),
    }


def test_no_rows_have_no_features_but_their_names():
    """An empty piece of a stream passes."""
    assert all(len(values) == 0 for values in calendar_features(at(), "US").values())


def test_a_million_rows_take_well_under_a_second():
    """There is no Python for each row."""
    clock = np.datetime64("2013-01-01", "us") + np.arange(10**6) * np.timedelta64(300, "s")
    calendar_features(clock[:2], "US")

    start = time.process_time()
    calendar_features(clock, "US")

    assert time.process_time() - start < 0.8


def test_years_without_holidays_have_none():
    """Ukraine's calendar begins in 1991."""
    days = np.arange("1985-01-01", "1985-01-10", dtype="datetime64[D]")

    holiday, gap = nearness(days, "UA")

    assert not holiday.any() and not gap.any()
