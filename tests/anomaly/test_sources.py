"""What one gets who has brought no rows."""

import sys

import numpy as np
import pytest

from fulgurite.anomaly.reading import read
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.sources import default_series

pytest.importorskip("pandas")
pytest.importorskip("holidays")


def test_the_real_series_has_three_outages():
    """They are the forty rows below 80 l/s, and the note says how little that proves."""
    pytest.importorskip("river")
    path, label, note = default_series()
    series = read(path)

    np.testing.assert_array_equal(label, series.value < 80)
    assert (len(series), label.sum(), np.diff(label.astype(int)).clip(0).sum()) == (1268, 40, 3)
    assert "not evidence" in note


def test_the_made_up_series_says_so():
    """Its label is the generator's."""
    series, label, note = default_series(synthetic=True)

    assert isinstance(series, Series) and label is series.label
    assert note.startswith("SYNTHETIC")


def test_without_river_the_series_is_made_up(monkeypatch):
    """And the note says what would bring the real one."""
    for module in ("river", "river.datasets"):
        monkeypatch.setitem(sys.modules, module, None)  # Python then says that it cannot be imported

    assert "pip install river" in default_series().note
