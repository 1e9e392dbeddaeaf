"""The Numenta benchmark's score: equal to what it has published, and by hand."""

import numpy as np
import pytest

from fulgurite.anomaly.judge.nab import Nab, nab, normalised, worth_of_rows

# The benchmark's published results for realKnownCause/rogue_agent_key_hold.csv (1,882 rows, windows at rows 669 to 763
# and 1240 to 1334) have a column with what a flag in each row is worth under the standard profile; here are some of it.
WINDOWS = [(669, 763), (1240, 1334)]
PUBLISHED = {
    0: -0.11,
    668: -0.11,
    762: 0.05329644510986608,
    763: 0.02666666848596921,
    764: -0.0029248423342903623,
    765: -0.005845551862119268,
    766: -0.008758019102712152,
    774: -0.031293138065617884,
}


def marked(rows: int, *spans: tuple[int, int]) -> np.ndarray:
    labels = np.zeros(rows, dtype=bool)
    for first, last in spans:
        labels[first : last + 1] = True
    return labels


def test_a_flag_is_worth_what_the_benchmark_published():
    """Before the first window, in a window and behind it, to the last digit."""
    worth = worth_of_rows(marked(1_882, *WINDOWS))

    assert {row: worth[row] for row in PUBLISHED} == pytest.approx(PUBLISHED, abs=1e-15)
    assert worth[669] == 1


def test_the_published_sum_gives_the_published_score():
    """ARTime's files sum up to 57.66 over 116 windows; the board says 74.9."""
    assert normalised([Nab(57.66075157860637, 116)]) == pytest.approx(74.9, abs=0.05)


def test_misses_and_false_alarms_by_hand():
    """Three flags before two windows that are missed: -2 - 3 x 0.11, as published for a file of which this holds."""
    labels, flags = marked(1_000, (600, 650), (800, 850)), marked(1_000, (100, 102))

    assert nab(labels, flags) == Nab(pytest.approx(-2.33), 2)


def test_only_the_first_flag_of_a_window_counts():
    """Later flags in a window neither earn nor cost; the first row of it is worth most."""
    labels = marked(100, (40, 59))

    assert nab(labels, marked(100, (40, 40))).raw == nab(labels, marked(100, (40, 59))).raw == 1
    assert 0 < nab(labels, marked(100, (50, 59))).raw < 1


def test_nothing_is_zero_and_perfect_is_a_hundred():
    """The scale's two ends, over files together; a file without windows counts by its false alarms alone."""
    labels, nothing = marked(200, (50, 60), (120, 130)), marked(200)
    perfect = marked(200, (50, 50), (120, 120))

    assert normalised([nab(labels, nothing)]) == 0
    assert normalised([nab(labels, perfect), nab(nothing, nothing)]) == 100
    assert normalised([nab(labels, perfect), nab(nothing, marked(200, (3, 3)))]) == pytest.approx(100 - 100 * 0.11 / 4)
    assert normalised([nab(nothing, nothing)]) is None


def test_windows_of_one_row():
    """A window of a single row has no width to measure distance by; the row behind it is one away."""
    worth = worth_of_rows(marked(10, (4, 4)))

    assert worth[4] == 1
    assert -0.11 < worth[5] < 0
