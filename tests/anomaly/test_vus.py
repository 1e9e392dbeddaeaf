"""The volume under the surface: equal to the published one, and what holds for any ranking."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fulgurite.anomaly.judge.vus import vus, window_length
from support.vus_cases import ranking, wave

GOLDEN = json.loads((Path(__file__).parent / "golden" / "vus.json").read_text())


@pytest.mark.parametrize("golden", GOLDEN["volumes"], ids=lambda golden: str(golden["case"]))
def test_equals_the_published_implementation(golden):
    """Both volumes agree with packages vus 0.0.6 and TSB_AD 1.5 to 1e-12."""
    labels, scores = ranking(*golden["case"])

    assert vus(labels, scores, golden["case"][2]) == pytest.approx((golden["vus_pr"], golden["vus_roc"]), abs=1e-12)


@pytest.mark.parametrize("golden", GOLDEN["periods"], ids=lambda golden: str(golden["case"]))
def test_finds_the_published_window(golden):
    """The period is the one that TSB_AD finds, 125 rows where there is none."""
    assert window_length(wave(*golden["case"])) == golden["window"]


def test_labels_as_scores_fill_nearly_the_whole_volume():
    """Without tolerance, scores that are the labels reach 1; with it, they lose what the faded rows would add."""
    labels = np.zeros(500, dtype=bool)
    labels[200:240] = True

    assert vus(labels, labels.astype(float), 0) == pytest.approx((1, 1))
    assert vus(labels, labels.astype(float), 20)[0] > 0.95


@given(seed=st.integers(0, 10_000), window=st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_depends_on_the_order_of_scores_only(seed, window):
    """A rising transform of the scores changes neither volume, and both lie between 0 and 1."""
    labels, scores = ranking(150, 3, window, 2, seed)

    volumes = vus(labels, scores, window)

    assert volumes == vus(labels, np.exp(3 * scores) - 5, window)
    assert all(0 <= volume <= 1 for volume in volumes)


@pytest.mark.parametrize(
    ("labels", "scores", "window", "said"),
    [
        ([0, 0, 0], [1, 2, 3], 1, "one kind of row"),
        ([1, 1, 1], [1, 2, 3], 1, "one kind of row"),
        ([0, 1, 0], [1, np.nan, 3], 1, "1 scores aren't finite"),
        ([0, 1], [1, 2, 3], 1, "equal length"),
        ([0, 1, 0], [1, 2, 3], -1, "negative"),
    ],
)
def test_refuses_what_has_no_volume(labels, scores, window, said):
    """An undefined volume is an error that says why, not a number."""
    with pytest.raises(ValueError, match=said):
        vus(np.array(labels), np.array(scores), window)
