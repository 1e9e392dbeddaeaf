"""Columns as bytes: what is packed comes back, exactly."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.track.store.cells import (
    BLOCK,
    BOOLEAN,
    FLOAT,
    INTEGER,
    JSON,
    SUMMARY,
    column,
    joined,
    packed_cells,
    packed_steps,
    summary,
    unpacked_cells,
    unpacked_steps,
)

steps = st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 9), min_size=1, max_size=20)


@given(steps)
def test_steps_come_back(steps):
    """At one distance or many, near or as far as 64 bits allow."""
    part = column(steps, [0.0] * len(steps))

    back = unpacked_steps(int(part.steps[0]), int(part.steps[-1]), len(part), packed_steps(part.steps))

    assert back.tolist() == sorted(set(steps))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.5, math.inf], FLOAT),
        ([1, -(2**63), 2**63 - 1], INTEGER),
        ([1, 2**63], JSON),
        ([True, False], BOOLEAN),
        ([True, 1], JSON),
        ([1, 0.5], FLOAT),
        ([2**53 + 1, 0.5], JSON),
        (["\ud800", None], JSON),
    ],
)
def test_values_come_back(values, kind):
    """Each kind in its way; a mixture that a float would change stays as it is."""
    part = column(range(len(values)), values)

    assert part.kind == kind
    back = column(part.steps, list(unpacked_cells(kind, packed_cells(part))))
    assert back.values() == values


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0, 0.5, True, "x"])), min_size=1), st.integers(0, 5))
def test_later_values_count(pairs, cut):
    """In one column, and in several that are joined."""
    parts = [column(*zip(*part, strict=True)) for part in (pairs[:cut], pairs[cut:]) if part]

    whole = joined(parts)

    assert dict(zip(whole.steps.tolist(), whole.values(), strict=True)) == dict(pairs)
    assert whole.steps.tolist() == sorted(dict(pairs))


def test_a_summary_keeps_the_extremes_of_each_block():
    """Also of blocks without a number, and of text among numbers."""
    values = np.random.default_rng(0).normal(size=5 * BLOCK + 3)
    values[BLOCK : 2 * BLOCK] = math.nan
    for part in (column(range(len(values)), values.tolist()), column(range(len(values)), [*values.tolist()[:-1], "x"])):
        blocks = np.frombuffer(summary(part), SUMMARY)

        assert len(blocks) == 6
        assert np.isnan(blocks["low"][1])
        for index in (0, 2, 3, 4):
            here = values[index * BLOCK : (index + 1) * BLOCK]
            assert (blocks["low"][index], blocks["high"][index]) == (here.min(), here.max())
            assert blocks["value"][index] == here[-1]
