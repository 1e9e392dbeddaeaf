"""What is told of a table's columns, also after some of their rows have changed."""

import math
import random

import pytest

from fulgurite.track.server.api.about import FEW, Blocks, about


class Cells:
    """A row that counts how often it is read."""

    def __init__(self, **cells):
        self._cells, self.reads = cells, 0

    @property
    def cells(self):
        self.reads += 1
        return self._cells


@pytest.mark.parametrize(
    ("values", "kinds", "low", "high", "distinct"),
    [
        ([3, 1.5, 3], {"number"}, 1.5, 3, {1.5, 3}),
        ([1.0, math.nan, math.inf, None], {"number"}, 1.0, 1.0, ...),
        ([1e308, 1e308], {"number"}, 1e308, 1e308, {1e308}),
        ([10**400, 1], {"number"}, 1, 1, ...),
        (["NaN", 2], {"number"}, 2, 2, {"NaN", 2}),
        ([True, False, True], {"boolean"}, math.inf, -math.inf, {True, False}),
        (["a", "b", "a"], {"text"}, math.inf, -math.inf, {"a", "b"}),
        (["a", 1], {"text", "number"}, 1, 1, {"a", 1}),
        (["x" * 101], {"text"}, math.inf, -math.inf, None),
        ([[1], "a"], {"other", "text"}, math.inf, -math.inf, None),
        ([{"_type": "image-file"}], {"other"}, math.inf, -math.inf, None),
        (list(range(FEW + 1)), {"number"}, 0, FEW, None),
        ([None, None], set(), math.inf, -math.inf, set()),
    ],
)
def test_a_column(values, kinds, low, high, distinct):
    """Numbers that are not finite have no part in its range."""
    found = about(values)

    assert (found.count, found.kinds) == (sum(value is not None for value in values), kinds)
    assert (found.low, found.high) == (low, high)
    assert distinct is ... or found.values == distinct


def test_blocks_tell_what_a_look_at_all_rows_would():
    """Rows come, change and go; each time all is as if it were counted anew."""
    chance, rows, version = random.Random(0), {}, 0
    blocks = Blocks()
    for _ in range(60):
        version += 1
        for id in chance.sample(range(300), 20):
            rows[id] = (version, Cells(**{chance.choice("abc"): chance.choice([id, 1.5, "t", None, True])}))
        for id in chance.sample(sorted(rows), 3):
            del rows[id]

        found = blocks.columns([(id, *rows[id]) for id in sorted(rows)])

        for name in "abc":
            expected = about([row._cells[name] for _, row in rows.values() if name in row._cells])
            assert found[name] == expected


def test_only_rows_near_a_change_are_read_again():
    rows = {id: (1, Cells(x=id)) for id in range(640)}
    blocks = Blocks()
    blocks.columns([(id, *row) for id, row in rows.items()])
    rows[5] = (2, Cells(x=-1))

    found = blocks.columns([(id, *row) for id, row in rows.items()])

    assert found["x"].low == -1 and sum(row.reads for _, row in rows.values()) == 640 + 63 + 1 - 1
