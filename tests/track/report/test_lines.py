"""The charts of a report: small however much was logged, and no value lost between two points."""

import math

from fulgurite.track.report.lines import FINEST, MOST_CHARTS, charts


def test_a_metric_has_a_line_for_each_run_that_logged_it(store, runs):
    found = charts(store, runs)

    assert [(chart.name, chart.group, [line.run for line in chart.lines]) for chart in found.drawn] == [
        ("acc", "", [1]),
        ("train/loss", "train", [0, 1]),
    ]


def test_many_values_keep_their_lowest_and_highest(store, made):
    """A million points are some hundred stretches; the one outlier is in the range of its own."""
    run = made("long")
    store.history.append(run.id, [(i, {"y": 7.0 if i == 12_345 else 0.0}) for i in range(50_000)])

    (line,) = charts(store, [run]).drawn[0].lines

    assert len(line.x) <= FINEST
    assert max(line.high) == 7.0 and min(line.low) == 0.0
    assert line.x[-1] == 49_999


def test_few_values_are_single_points_and_what_is_not_finite_a_gap(store, made):
    run = made("short")
    store.history.append(run.id, [(0, {"y": 1.25}), (3, {"y": math.nan}), (5, {"y": -math.inf})])

    (line,) = charts(store, [run]).drawn[0].lines

    assert (line.x, line.last, line.low, line.high) == ([0, 3, 5], [1.25, None, None], None, None)


def test_patterns_choose(store, runs):
    assert [chart.name for chart in charts(store, runs, ["train/*"]).drawn] == ["train/loss"]
    assert [chart.name for chart in charts(store, runs, ["acc", "train/l?ss"]).drawn] == ["acc", "train/loss"]


def test_texts_and_the_clients_own_keys_are_no_charts(store, made):
    run = made("odd")
    store.history.append(run.id, [(0, {"note": "hi", "_runtime": 1.0, "flag": True})])

    assert [chart.name for chart in charts(store, [run]).drawn] == ["flag"]


def test_charts_beyond_the_most_are_counted(store, made):
    run = made("wide")
    store.history.append(run.id, [(0, {f"k{i:04}": i for i in range(MOST_CHARTS + 5)})])

    found = charts(store, [run])

    assert (len(found.drawn), found.left_out) == (MOST_CHARTS, 5)
