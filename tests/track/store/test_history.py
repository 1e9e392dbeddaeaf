"""What runs logged, against a plain dict: sent in whatever order, it is there once, and charts lose nothing."""

import contextlib
import math
import tempfile
import threading
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fulgurite.track.store.cells import FLOAT, Column
from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.history import HISTORY, SYSTEM, keys_together
from fulgurite.track.store.store import Store

INVARIANT = """
SELECT series.id, series.count AS told, series.first AS lowest, series.last AS highest, chunk.*
FROM series LEFT JOIN chunk ON chunk.series_id = series.id ORDER BY series.id, chunk.first
"""


def same(one, other):
    """Equal as logged values are: NaN is NaN, true is not 1, while 1 may come back as 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def leaves(row, above=()):
    """The model's own way to take a row apart: by tuples of names."""
    for name, value in row.items():
        if isinstance(value, dict) and value and "_type" not in value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def put_together(found):
    """The model's own way back: where a name has both a value and names below it, those below count."""
    row = {}
    for name in {names[0] for names in found}:
        below = {names[1:]: value for names, value in found.items() if names[0] == name and len(names) > 1}
        row[name] = put_together(below) if below else found[(name,)]
    return row


def assert_chunks_are_right(store):
    """A series' chunks follow each other without touching, and it is described as its chunks are."""
    by_series = {}
    for row in store.database.query(INVARIANT):
        by_series.setdefault(row["id"], []).append(row)
    for chunks in by_series.values():
        assert chunks[0]["first"] is not None, "a series without values"
        assert all(chunk["first"] <= chunk["last"] and chunk["count"] > 0 for chunk in chunks)
        assert all(a["last"] < b["first"] for a, b in zip(chunks, chunks[1:], strict=False))
        told = {(chunk["told"], chunk["lowest"], chunk["highest"]) for chunk in chunks}
        assert told == {(sum(c["count"] for c in chunks), chunks[0]["first"], chunks[-1]["last"])}
        for part in store.history._chunks.columns(chunks[0]["id"]):
            assert (np.diff(part.steps) > 0).all()
            assert len(part.steps) == len(part.cells)


numbers = st.floats() | st.integers(-(2**70), 2**70) | st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, 2**63, math.nan])
odd_text = st.text(max_size=4) | st.sampled_from(["\ud800", "\x1f", "\0", "NaN"])
media = st.fixed_dictionaries({"_type": st.just("image-file"), "size": st.integers(0, 9)})
values = numbers | st.booleans() | odd_text | st.none() | media | st.just({}) | st.lists(numbers | odd_text, max_size=3)
names = st.sampled_from(["a", "b", "a.b", "a\x1fb", "\x1e", "", "é", "\ud800", "\0"])
loss = st.sampled_from([0.5, 1.0, 2.0, math.nan, -math.inf])
rows = st.fixed_dictionaries(
    {},
    optional={
        "loss": loss,
        "mostly": loss | st.sampled_from([3, "x", None]),
        "a": values | st.dictionaries(names, values | st.dictionaries(names, values, max_size=2), max_size=2),
        "a\x1fb": values,
        "\ud800": values,
    },
)


class AgainstADict(RuleBasedStateMachine):
    """Two runs; the model is {(run, stream): {names: {step: value}}} with every row's step under ``_step``."""

    @initialize()
    def begin(self):
        self.closing = contextlib.ExitStack()
        # Small chunks, so that few rows go through all tiers.
        for place, size in (("chunks.CHUNK", 24), ("chunks.GATHER", 3), ("history.GATHER", 3)):
            self.closing.enter_context(patch(f"fulgurite.track.store.{place}", size))
        self.store = Store(self.closing.enter_context(tempfile.TemporaryDirectory()))
        self.closing.callback(self.store.close)
        project = self.store.runs.project("p", create=True)
        self.ids = [self.store.runs.open(project, name)[0].id for name in "ab"]
        self.model = {(run, stream): {} for run in self.ids for stream in (HISTORY, SYSTEM)}

    def teardown(self):
        if hasattr(self, "closing"):
            self.closing.close()

    def _log(self, which, stream, sent):
        run = self.ids[which]
        self.store.history.append(run, sent, stream)
        for step, row in sent:
            flat = dict(leaves(row))
            if stream == HISTORY:
                flat["_step",] = step
            for path, value in flat.items():
                self.model[run, stream].setdefault(path, {})[step] = value

    @rule(
        which=st.integers(0, 1),
        stream=st.sampled_from([HISTORY, HISTORY, SYSTEM]),
        sent=st.lists(st.tuples(st.integers(-3, 90), rows), max_size=6),
    )
    def log_anywhere(self, which, stream, sent):
        self._log(which, stream, sent)

    @rule(start=st.integers(0, 60), width=st.integers(1, 40), value=loss, times=st.integers(1, 2))
    def log_a_stretch(self, start, width, value, times):
        for _ in range(times):
            self._log(0, HISTORY, [(start + i, {"loss": value + i}) for i in range(width)])

    @rule(posts=st.integers(1, 12), size=st.integers(1, 5), value=loss | st.sampled_from([7, "x"]))
    def log_on(self, posts, size, value):
        for _ in range(posts):
            after = max(self.model[self.ids[0], HISTORY].get(("_step",), {0: 0})) + 1
            self._log(0, HISTORY, [(after + i, {"loss": value}) for i in range(size)])

    @rule(after=st.integers(-5, 90))
    def truncate(self, after):
        self.store.history.truncate(self.ids[0], after)
        own = self.model[self.ids[0], HISTORY]
        for path in list(own):
            own[path] = {step: value for step, value in own[path].items() if step <= after}
            if not own[path]:
                del own[path]

    @rule(until=st.integers(-5, 90))
    def copy(self, until):
        self.store.history.copy(self.ids[0], self.ids[1], until)
        target = self.model[self.ids[1], HISTORY]
        for path, own in self.model[self.ids[0], HISTORY].items():
            if kept := {step: value for step, value in own.items() if step <= until}:
                target.setdefault(path, {}).update(kept)

    @rule(which=st.integers(0, 1))
    def compact(self, which):
        self.store.history.compact(self.ids[which])

    @rule(low=st.integers(-5, 90), width=st.integers(0, 90))
    def read_rows(self, low, width):
        for (run, stream), own in self.model.items():
            at = {step: {} for steps in own.values() for step in steps if low <= step <= low + width}
            for path, found in own.items():
                for step in found.keys() & at.keys():
                    at[step][path] = found[step]
            expected = [put_together(at[step]) for step in sorted(at)]
            assert same(self.store.history.rows(run, low, low + width, stream=stream), expected)

    @rule(low=st.integers(-5, 90), width=st.integers(0, 90), buckets=st.integers(1, 8))
    def chart(self, low, width, buckets):
        own = self.model[self.ids[0], HISTORY].get(("loss",), {})
        seen = {s: v if isinstance(v, float) else float(v) if v == 7 else math.nan for s, v in sorted(own.items())}
        assert_chart_is_right(self.store.history, self.ids[0], seen, low, low + width, buckets)

    @invariant()
    def all_is_there_once(self):
        if not hasattr(self, "store"):
            return
        assert_chunks_are_right(self.store)
        for (run, stream), own in self.model.items():
            keys = self.store.history.keys(run, stream)
            assert sorted((k["count"], k["first"], k["last"]) for k in keys.values()) == sorted(
                (len(found), min(found), max(found)) for found in own.values()
            )
        rows = len(self.model[self.ids[0], HISTORY].get(("_step",), {}))
        assert self.store.runs.by_id(self.ids[0]).row_count == rows


def assert_chart_is_right(history, run, seen, low, high, buckets):
    """Stretch by stretch against the values themselves."""
    seen = {step: value for step, value in seen.items() if low <= step <= high}
    chart = history.chart(run, "loss", buckets, low, high)
    steps, numbers = np.array(list(seen), dtype=np.int64), np.array(list(seen.values()), dtype=float)
    if len(seen) <= buckets:
        assert chart.steps.tolist() == steps.tolist()
        for shown in (chart.low, chart.high, chart.last):
            np.testing.assert_array_equal(shown, numbers)
        return
    assert 0 < len(chart) <= buckets
    assert chart.steps[-1] == steps[-1]
    ends = np.searchsorted(steps, chart.steps)
    np.testing.assert_array_equal(steps[ends], chart.steps)
    for index, (start, end) in enumerate(zip([0, *(ends[:-1] + 1)], ends, strict=True)):
        stretch = numbers[start : end + 1]
        assert same(chart.last[index], float(stretch[-1]))
        there = stretch[~np.isnan(stretch)]
        assert same(chart.low[index], float(there.min()) if len(there) else math.nan)
        assert same(chart.high[index], float(there.max()) if len(there) else math.nan)


AgainstADict.TestCase.settings = settings(
    max_examples=40, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
TestHistoryAgainstADict = AgainstADict.TestCase


def test_a_look_into_a_gap_of_a_long_series_is_empty(store, run):
    """A window inside a full chunk that holds no value has no stretch, and one with three values has three."""
    store.history.append(run.id, [(10 * step, {"y": float(step)}) for step in range(70_000)])

    assert len(store.history.chart(run.id, "y", 100, low=101, high=109)) == 0
    assert store.history.chart(run.id, "y", 100, low=101, high=135).last.tolist() == [11.0, 12.0, 13.0]


def test_one_text_does_not_make_a_long_series_text(store, run):
    """After compaction only the chunk that holds it is kept as JSON; the key tells of both kinds."""
    for start in range(0, 200_000, 20_000):
        rows = [(start + i, {"y": 0.5}) for i in range(20_000)]
        store.history.append(run.id, [*rows, (start + 20_000 - 1, {"y": "n/a"})] if start == 100_000 else rows)
    store.history.compact(run.id)

    kinds = store.database.query(
        "SELECT kind FROM chunk JOIN series ON series.id = series_id WHERE path = 'y' ORDER BY chunk.first"
    )
    assert [row["kind"] for row in kinds] == ["d", "j", "d", "d"]
    assert set(store.history.keys(run.id)["y"]["kinds"]) == {"d", "j"}
    assert store.history.read(run.id, "y", 119_998, 120_000).values() == [0.5, "n/a", 0.5]


def test_a_second_copy_of_a_run_writes_nothing_anew(store, run):
    """A client that sends a whole run again, in other portions, leaves each chunk as it was."""
    rows = [(step, {"y": step / 7}) for step in range(5_000)]
    store.history.append(run.id, rows)
    store.history.compact(run.id)
    before = store.database.query("SELECT rowid, first, last, tier FROM chunk")

    for start in range(0, len(rows), 333):
        store.history.append(run.id, rows[start : start + 333])

    assert [tuple(row) for row in store.database.query("SELECT rowid, first, last, tier FROM chunk")] == [
        tuple(row) for row in before
    ]


def test_rows_out_of_order_keep_the_number_of_chunks_small(store, run):
    """Values that come one by one between those that are there go into their chunks."""
    store.history.append(run.id, [(step, {"y": 1.0}) for step in range(0, 200_000, 2)])
    for step in range(1, 400, 2):
        store.history.append(run.id, [(step, {"y": 2.0})])

    row = store.database.first(
        "SELECT COUNT(*) FROM chunk JOIN series ON series.id = series_id WHERE path = 'y'",
    )
    assert row[0] <= 3
    assert_chunks_are_right(store)


def test_a_step_that_no_number_of_64_bits_can_hold_is_refused_with_its_post(store, run):
    """The error names it; nothing of the post is kept."""
    with pytest.raises(StoreError, match="beyond"):
        store.history.append(run.id, [(1, {"y": 1.0}), (2**80, {"y": 1.0})])

    assert store.history.rows(run.id) == []


def test_a_value_that_is_no_data_is_refused_by_name(store, run):
    """An object that JSON does not know, from a logger in the same process."""
    with pytest.raises(StoreError, match="'deep.y'.*object"):
        store.history.append(run.id, [(1, {"deep": {"y": object()}})])

    assert store.history.rows(run.id) == []


def test_charts_can_be_drawn_while_chunks_are_gathered(store, run):
    """A reader sees the chunks at one moment, though a writer replaces them meanwhile."""
    done = threading.Event()

    def write():
        for start in range(0, 20_000, 40):
            store.history.append(run.id, [(start + i, {"y": float(start + i)}) for i in range(40)])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    looks = 0
    while not done.is_set():
        chart = store.history.chart(run.id, "y", buckets=2)
        assert not len(chart) or chart.high[-1] == chart.steps[-1] == chart.last[-1]
        looks += 1
    writer.join(60)
    assert looks > 10


def test_a_part_seen_from_afar_holds_all_of_it_and_nothing_else(store, run):
    """Its edges lie within chunks; of what lies beyond them nothing is told, of what lies within no extreme is lost."""
    y = np.random.default_rng(0).normal(size=200_000)
    y[[1_002, 150_008]] = 99.0
    y[[1_003, 150_007]] = -50.0, 50.0
    store.history.append_columns(run.id, {"y": Column(np.arange(len(y)), FLOAT, y)})

    chart = store.history.chart(run.id, "y", buckets=50, low=1_003, high=150_007)

    assert len(chart) <= 50 and (chart.low[0], chart.high[-1]) == (-50.0, 50.0)
    assert chart.steps[0] >= 1_003 and (chart.steps[-1], chart.last[-1]) == (150_007, 50.0)


def test_keys_of_several_runs_are_counted_together(store, run):
    """Each path once: how many runs have it, how many values, and from where to where."""
    other, _ = store.runs.open(store.runs.project("p"), "other")
    store.history.append(run.id, [(i, {"both": i, "one": "a"}) for i in range(3)])
    store.history.append(other.id, [(i, {"both": i / 2}) for i in range(2, 7)])

    found = keys_together(store.history, [run.id, other.id], paths=["both", "one"])

    assert list(found) == ["both", "one"]
    both = found["both"]
    assert (both["runs"], both["count"], both["first"], both["last"], set(both["kinds"])) == (2, 8, 0, 6, set("dq"))
    assert (found["one"]["runs"], found["one"]["count"]) == (1, 3)
