"""The store through its front door: what goes in comes out, once."""

import numpy as np
import pytest

from fulgurite.track.store.errors import NotFound


def test_rows_come_back_as_they_were_logged(store, run):
    """Numbers, text, nesting and media keep their types; a row holds what was logged at its step."""
    rows = [(0, {"loss": 0.5, "n": 3, "ok": True, "deep": {"a.b": 1, "c": [1, 2]}}), (4, {"loss": 1, "note": "é"})]

    store.history.append(run.id, rows)

    assert store.history.rows(run.id) == [{**row, "_step": step} for step, row in rows]


def test_rows_that_are_sent_again_are_there_once(store, run):
    """A retry, whole or cut differently, changes nothing; a newer value at a step replaces the older one."""
    rows = [(step, {"loss": step / 2}) for step in range(10)]
    store.history.append(run.id, rows)

    store.history.append(run.id, rows[3:7])
    store.history.append(run.id, [(5, {"loss": 100.0}), (12, {"loss": 6.0})])

    assert store.runs.by_id(run.id).row_count == 11
    assert store.history.read(run.id, "loss").values() == [0, 0.5, 1, 1.5, 2, 100, 3, 3.5, 4, 4.5, 6]


def test_a_chart_from_afar_shows_every_extreme(store, run):
    """A hundred thousand values in small posts, charted in 100 stretches: one spike is in sight, and at its place."""
    values = np.zeros(100_000)
    values[77_777] = 9.0
    for start in range(0, len(values), 1000):
        store.history.append(run.id, [(start + i, {"y": float(v)}) for i, v in enumerate(values[start : start + 1000])])

    chart = store.history.chart(run.id, "y", buckets=100)

    assert len(chart) == 100
    assert chart.high.argmax() == 77
    assert chart.high.max() == 9.0


def test_a_deleted_run_can_be_brought_back(store, run):
    """Until then it is not found, and a new run may take its name."""
    store.runs.delete([run])
    with pytest.raises(NotFound, match="no run local/p/abc"):
        store.runs.find(run.project, "abc")

    store.runs.restore([run])

    assert store.runs.find(run.project, "abc").id == run.id
