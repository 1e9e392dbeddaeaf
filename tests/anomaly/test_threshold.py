"""Thresholds: what each rule takes its level from, and what it says of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fulgurite.anomaly.threshold import Threshold
from fulgurite.base.errors import DataError, MisconfigurationException

RULES = ["normalised:3", "quantile:0.99", "pot:1e-3", "fixed:2.5", "scored:0.99"]
SCORES = arrays(np.float64, st.integers(10, 300), elements=st.floats(-1e6, 1e6))


@pytest.mark.parametrize("text", RULES)
def test_a_rule_reads_back_as_it_was_written(text):
    """The text of a threshold names the same threshold."""
    assert str(Threshold.parse(str(Threshold.parse(text)))) == str(Threshold.parse(text))


@pytest.mark.parametrize("rule, number", [("normalised", 3), ("quantile", 0.999), ("pot", 1e-4), ("scored", 0.999)])
def test_a_rule_alone_takes_its_usual_number(rule, number):
    """`--threshold pot` is enough."""
    assert Threshold.parse(rule).number == number


@pytest.mark.parametrize("text", ["", "\x85", "best", "fixed", "fixed:high", "quantile:1", "quantile:0", "pot:0.5",
                                  "fixed:nan", "scored:99", "nothing:3"])  # fmt: skip
def test_a_text_that_is_no_rule_is_refused(text):
    """The error repeats what was given and what would do."""
    with pytest.raises(MisconfigurationException, match="threshold="):
        Threshold.parse(text)


@pytest.mark.parametrize("text", ["normalised:3", "fixed:2.5"])
def test_a_number_as_it_stands_needs_no_scores(text):
    """These two rules judge at once, and calibration leaves them alone."""
    threshold = Threshold.parse(text)
    threshold.fit(np.zeros(0)).fit_scored(np.zeros(0))

    assert threshold.level == threshold.number
    assert threshold.flags(np.array([threshold.level, threshold.level + 0.1, np.nan])).tolist() == [False, True, False]


def test_a_rule_says_what_it_needs():
    """Two take their level from calibration rows, one from the scored rows, two from the number alone."""
    assert [rule for rule in RULES if Threshold.parse(rule).needs_calibration] == ["quantile:0.99", "pot:1e-3"]
    assert [rule for rule in RULES if Threshold.parse(rule).needs_all_rows] == ["scored:0.99"]


@given(SCORES, st.floats(0.01, 0.99))
def test_a_quantile_leaves_that_share_below(scores, share):
    """At most the rest of the calibration rows lie above the level, to one row."""
    threshold = Threshold("quantile", share).fit(scores)

    assert threshold.flags(scores).sum() <= (1 - share) * len(scores) + 1
    assert scores.min() <= threshold.level <= scores.max()


@given(SCORES)
def test_peaks_over_threshold_give_a_finite_level(scores):
    """Whatever the scores, the level is a number not below the bulk of them, or the highest score."""
    threshold = Threshold.parse("pot:1e-3").fit(scores)

    assert np.isfinite(threshold.level)
    assert threshold.level >= np.quantile(scores, 0.79)


@pytest.mark.parametrize("share", [1e-2, 1e-3, 1e-4])
def test_peaks_over_threshold_find_the_quantile_of_exponential_scores(share):
    """The tail of an exponential is known: -log(share). The mean of many fits is within 4 % of it, each within 40 %."""
    random = np.random.default_rng(0)
    levels = [Threshold("pot", share).fit(random.exponential(size=5_000)).level for _ in range(40)]

    assert np.mean(levels) == pytest.approx(-np.log(share), rel=0.04)
    assert levels == pytest.approx([-np.log(share)] * len(levels), rel=0.4)


def test_peaks_over_threshold_reach_beyond_the_highest_score():
    """A rarer share than the rows can show lies above them, as a quantile cannot."""
    scores = np.random.default_rng(0).exponential(size=500)

    assert Threshold("pot", 1e-5).fit(scores).level > scores.max() >= Threshold("quantile", 0.99999).fit(scores).level


@pytest.mark.parametrize("text", ["quantile:0.99", "pot:1e-3"])
def test_rows_without_a_score_are_left_out_of_calibration(text):
    """NaN and inf change nothing."""
    scores = np.random.default_rng(0).exponential(size=500)
    holed = np.insert(scores, [3, 7, 90], [np.nan, np.inf, np.nan])

    assert Threshold.parse(text).fit(holed).level == Threshold.parse(text).fit(scores).level


@pytest.mark.parametrize("text", ["quantile:0.99", "pot:1e-3"])
@pytest.mark.parametrize("scores", [np.zeros(0), np.ones(9), np.full(100, np.nan)], ids=["none", "nine", "only NaN"])
def test_too_few_scores_are_an_error_that_counts_them(text, scores):
    """It says how many there are and which rules do without."""
    with pytest.raises(DataError, match=r"at least 10 rows with a score; there are \d.*normalised:3"):
        Threshold.parse(text).fit(scores)


@pytest.mark.parametrize("text", ["quantile:0.99", "pot:1e-3"])
def test_constant_scores_flag_only_what_is_higher(text):
    """A tail that is flat falls back to the highest score, and the sentence says so."""
    threshold = Threshold.parse(text).fit(np.full(1_000, 2.0))

    assert threshold.level == 2.0
    assert threshold.flags(np.array([2.0, 2.1])).tolist() == [False, True]
    assert text.startswith("quantile") or "the highest of" in threshold.explain()


def test_few_scores_are_admitted():
    """A quantile of fewer rows than it needs lies at their highest, which is said."""
    assert "so few that it lies at their highest" in Threshold.parse("quantile:0.999").fit(np.arange(50.0)).explain()
    assert "so few" not in Threshold.parse("quantile:0.9").fit(np.arange(50.0)).explain()


def test_the_rule_of_the_scored_rows_waits_for_them():
    """It has no level after calibration, says so, and flags its share of the very rows."""
    scores = np.random.default_rng(0).normal(size=1_000)
    threshold = Threshold.parse("scored:0.99").fit(scores[:500])

    with pytest.raises(MisconfigurationException, match="all rows at once"):
        threshold.flags(scores)
    assert threshold.fit_scored(scores).flags(scores).sum() == 10


@pytest.mark.parametrize("text", RULES)
def test_a_threshold_travels_in_a_checkpoint(text):
    """Its state is plain and gives the same flags and the same sentence."""
    scores = np.random.default_rng(0).exponential(size=500)
    fitted = Threshold.parse(text).fit(scores).fit_scored(scores)
    loaded = Threshold.parse("fixed:0")
    loaded.load_state_dict(fitted.state_dict())

    assert loaded.explain() == fitted.explain()
    assert str(loaded) == str(fitted)
    assert (loaded.flags(scores) == fitted.flags(scores)).all()
    assert {type(value) for value in fitted.state_dict().values()} <= {str, float}
