"""Rankings and alarms by hand-computed cases, and what holds for any of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fulgurite.anomaly.judge.metrics import alarms, average_precision, detections, groups, roc_auc

RANKINGS = (
    st.integers(2, 40)
    .flatmap(
        lambda rows: st.tuples(
            arrays.arrays(bool, rows), arrays.arrays(np.int8, rows, elements=st.integers(-5, 5)).map(np.float64)
        )
    )
    .filter(lambda pair: pair[0].any() and not pair[0].all())
)
FLAGS = st.integers(1, 60).flatmap(
    lambda rows: st.tuples(arrays.arrays(bool, rows), arrays.arrays(bool, rows), st.integers(1, 10))
)


def places(rows: int, *spans: tuple[int, int]) -> np.ndarray:
    """True in each span, both of its ends included."""
    marked = np.zeros(rows, dtype=bool)
    for first, last in spans:
        marked[first : last + 1] = True
    return marked


def test_average_precision_by_hand():
    """Hits at ranks 1 and 3 of two: (1/1 + 2/3) / 2."""
    assert average_precision([1, 0, 1, 0], [4, 3, 2, 1]) == pytest.approx((1 + 2 / 3) / 2)


def test_equal_scores_are_one_threshold():
    """Whatever their order, rows of equal score are flagged together: precision is the share of anomalies."""
    assert average_precision([1, 0, 0, 0], [5, 5, 5, 5]) == average_precision([0, 0, 0, 1], [5, 5, 5, 5]) == 0.25
    assert roc_auc([1, 0, 0, 0], [5, 5, 5, 5]) == 0.5


def test_roc_auc_by_hand():
    """Of the four pairs of an anomaly and a normal row, three are in the right order."""
    assert roc_auc([1, 0, 1, 0], [4, 3, 2, 1]) == 0.75


@given(RANKINGS)
def test_rankings_equal_scikit_learn(pair):
    """Both measures agree with scikit-learn's, ties included."""
    metrics = pytest.importorskip("sklearn.metrics")

    assert average_precision(*pair) == pytest.approx(metrics.average_precision_score(*pair))
    assert roc_auc(*pair) == pytest.approx(metrics.roc_auc_score(*pair))


@given(RANKINGS)
def test_rankings_depend_on_the_order_only(pair):
    """A rising transform changes nothing; scores that are the labels are perfect."""
    labels, scores = pair

    assert average_precision(labels, scores) == average_precision(labels, scores**3 + 100)
    assert roc_auc(labels, scores) == roc_auc(labels, scores**3 + 100)
    assert average_precision(labels, labels.astype(float)) == roc_auc(labels, labels.astype(float)) == 1


@pytest.mark.parametrize("measure", [average_precision, roc_auc])
def test_rankings_refuse_what_is_not_defined(measure):
    """One kind of row, a NaN or two lengths are errors that say so."""
    with pytest.raises(ValueError, match="one kind of row"):
        measure([0, 0], [1.0, 2.0])
    with pytest.raises(ValueError, match="1 scores are NaN"):
        measure([0, 1], [1.0, np.nan])
    with pytest.raises(ValueError, match="one length"):
        measure([0, 1], [1.0, 2.0, 3.0])


def test_alarms_by_hand():
    """Two windows, one found two rows late; of three alarms one touches no window and one begins before its window."""
    labels = places(100, (20, 29), (60, 69))
    flags = places(100, (5, 6), (18, 18), (22, 23), (90, 90))

    found = alarms(labels, flags, refractory=5)

    assert (found.windows, found.found, found.alarms, found.false_alarms) == (2, ((20, 22),), 3, 2)
    assert (found.recall, found.precision, found.flagged_share) == (0.5, pytest.approx(1 / 3), 0.06)
    assert found.delay_rows == 2


def test_flags_near_each_other_are_one_alarm():
    """Rows at most the refractory period apart belong together, those beyond it don't."""
    flags = places(30, (2, 2), (7, 7), (13, 14))

    assert groups(flags, 5).tolist() == [[2, 7], [13, 14]]
    assert groups(flags, 6).tolist() == [[2, 14]]


def test_detections_are_first_flags():
    """Of each alarm, and of each window: an alarm that began before counts in the window too."""
    labels, flags = places(60, (10, 19), (24, 29)), places(60, (7, 26), (40, 41), (44, 44))

    assert np.flatnonzero(detections(labels, flags, 5)).tolist() == [7, 10, 24, 40]


def test_flagging_all_is_perfect_but_for_its_share():
    """One alarm over all rows finds each window at once, without a false alarm: hence the share beside it."""
    found = alarms(places(50, (10, 12), (30, 35)), places(50, (0, 49)), refractory=3)

    assert (found.recall, found.precision, found.delay_rows, found.flagged_share) == (1, 1, 0, 1)


def test_what_is_not_defined_is_none():
    """No window, no recall; no alarm, no precision; nothing found, no delay."""
    silent = alarms(places(10), places(10), refractory=3)
    noisy = alarms(places(10), places(10, (4, 4)), refractory=3)

    assert (silent.recall, silent.precision, silent.delay_rows, silent.flagged_share) == (None, None, None, 0)
    assert (noisy.recall, noisy.precision, noisy.false_alarms) == (None, 0, 1)


@given(FLAGS)
def test_alarms_are_counted_once(case):
    """True and false alarms make all alarms, a flag is left of each one and window, shares are between 0 and 1."""
    labels, flags, refractory = case

    found = alarms(labels, flags, refractory)

    told = detections(labels, flags, refractory)
    assert found.alarms <= told.sum() <= found.alarms + len(found.found)
    assert not (told & ~flags).any()
    assert 0 <= found.false_alarms <= found.alarms
    assert len(found.found) <= found.windows
    assert all(share is None or 0 <= share <= 1 for share in (found.recall, found.precision, found.flagged_share))
