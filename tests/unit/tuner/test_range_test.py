"""Rates and losses of a range test, and what is read from them."""

import math
import sys

import pytest

from fulgurite.base.errors import MissingExtra
from fulgurite.tuner import RangeTest


def measured(losses, mode="exponential"):
    """A test with these losses as they are, without the running mean."""
    test = RangeTest(mode, 1e-3, 1.0, len(losses))
    test.results = {"lr": [test.rate(index) for index in range(len(losses))], "loss": list(losses)}
    return test


def test_rates_go_from_the_least_to_the_highest():
    """They grow by a factor, or by a summand, and end where they shall."""
    growing = RangeTest("exponential", 1e-4, 1.0, 4)
    rising = RangeTest("linear", 1e-4, 1.0, 4)

    assert [growing.rate(index) for index in range(4)] == pytest.approx([1e-4, 1e-2, 1e-1, 1.0])
    assert [rising.rate(index) for index in range(4)] == pytest.approx([1e-4, 0.50005, 0.750025, 1.0])


def test_the_suggestion_is_where_the_loss_falls_steepest():
    """Measured over the rate itself, not over its index."""
    test = measured([9, 9, 9, 9, 5, 1, 1, 1, 2, 9])

    assert test.suggestion(0, 0) == test.results["lr"][4]


def test_losses_that_are_not_finite_are_left_out():
    """The suggestion is a rate that was measured, wherever the others stand."""
    test = measured([9, math.nan, 9, math.inf, 5, 1, 1, math.nan])

    assert test.suggestion(0, 0) == test.results["lr"][4]


def test_nothing_is_skipped_at_the_end_if_so_asked():
    """``skip_end=0`` takes the last loss into account."""
    assert measured([3, 3, 1]).suggestion(1, 0) == measured([3, 3, 1]).results["lr"][1]


@pytest.mark.parametrize("losses, skips", [([3, 2], (0, 1)), ([3, 2, 1], (10, 1)), ([math.nan] * 20, (0, 0))])
def test_too_few_losses_suggest_nothing(losses, skips):
    """A warning says how many there were and how many were left."""
    with pytest.warns(UserWarning, match=rf"{len(losses)} of {len(losses)} losses were measured, and [01] are left"):
        assert measured(losses).suggestion(*skips) is None


def test_a_loss_beyond_the_threshold_or_no_number_has_diverged():
    """The first loss never has; without a threshold none has."""
    test = RangeTest("linear", 0.1, 1.0, 9)
    test.add(0.1, 1.0)
    assert not test.diverged(4.0)
    test.add(0.2, 300.0)
    assert test.diverged(4.0) and not test.diverged(None)
    test.add(0.3, math.nan)
    assert test.diverged(1e9)


@pytest.mark.parametrize("arguments, named", [
    (("cubic", 0.1, 1.0, 9), "cubic"), (("linear", 0.0, 1.0, 9), "min_lr=0.0"), (("linear", 1.0, 0.1, 9), "max_lr=0.1"),
    (("linear", 0.1, 1.0, 0), "0"), (("linear", 0.1, 1.0, 2.5), "2.5"),
])  # fmt: skip
def test_what_cannot_be_tried_is_refused(arguments, named):
    """At construction, with the value."""
    with pytest.raises(ValueError, match=named):
        RangeTest(*arguments)


def test_without_matplotlib_the_plot_names_its_extra(monkeypatch):
    """The small one, which brings nothing else."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # Python then says that it cannot be imported

    with pytest.raises(MissingExtra, match=r"fulgurite\[plot\]"):
        measured([9, 5, 1]).plot()


@pytest.mark.parametrize("mode, scale", [("exponential", "log"), ("linear", "linear")])
def test_the_plot_shows_losses_over_rates(mode, scale):
    """On a new figure or on given axes; the suggestion is a point on the line."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    test = measured([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 5, 1, 1, 1, 2], mode)
    _, ax = pyplot.subplots()

    figure = test.plot(suggest=True, ax=ax)

    assert figure is ax.figure and ax.get_xscale() == scale
    line, point = ax.lines
    assert list(line.get_ydata()) == test.results["loss"]
    assert list(point.get_xdata()) == [test.suggestion()] or point.get_xdata() == test.suggestion()
    assert test.plot() is not figure
    pyplot.close("all")
