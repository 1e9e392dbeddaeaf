"""Which of the scored checkpoints are the best."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.callbacks import top_k
from support.counted import INF, NAN

SCORES = st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=8)


@given(SCORES, st.sampled_from(["min", "max"]))
def test_best_and_worst_are_the_extremes(values, mode):
    """The best is the extreme in the mode's direction, the worst the other; the older of equals wins."""
    scores = {str(number): torch.tensor(value) for number, value in enumerate(values)}
    best, worst = (min, max) if mode == "min" else (max, min)

    assert top_k.best_of(scores, mode) == str(values.index(best(values)))
    assert top_k.worst_of(scores, mode) == str(values.index(worst(values)))


@pytest.mark.parametrize(("mode", "expected"), [("min", INF), ("max", -INF)])
def test_nan_comes_last(mode, expected):
    """A score that is no number is beaten by every other and beats none."""
    assert top_k.comparable(torch.tensor(NAN), mode) == expected
    assert not top_k.is_better(torch.tensor(NAN), torch.tensor(1.0), mode)
    assert top_k.is_better(torch.tensor(1.0), top_k.unbeaten(mode), mode)


def test_a_tie_is_no_win():
    """The older checkpoint stays."""
    assert not top_k.is_better(torch.tensor(1.0), torch.tensor(1.0), "min")
