"""Which runs are stopped at the marks."""

from fulgurite.track.sweeps.hyperband import Hyperband


def test_marks_lie_where_wandb_documents_them():
    """From min_iter up by eta, or from max_iter down by eta as often as s says."""
    assert Hyperband(3, 3, None, 0).marks()[:4] == [3, 9, 27, 81]
    assert Hyperband(3, None, 27, 2).marks() == [3, 9]


def test_a_run_that_is_alone_goes_on():
    """There is nothing to compare it with."""
    assert Hyperband(3, 2, None, 0).doomed({"a": [5.0, 4.0, 4.0]}, ["a"]) == []


def test_at_a_mark_one_in_eta_goes_on():
    """Of six, two; one that has not come to a mark is let be, and so is one that has ended."""
    records = {name: [9.0, value] for name, value in zip("abcdef", (1.0, 2.0, 3.0, 4.0, 5.0, 6.0), strict=True)}
    records["young"] = [99.0]

    assert Hyperband(3, 2, None, 0).doomed(records, ["a", "b", "c", "d", "young"]) == ["c", "d"]


def test_one_that_has_caught_up_is_spared_unless_strict():
    """What a run has reached since the mark counts for it."""
    records = {"good": [2.0, 1.0, 1.0], "late": [9.0, 9.0, 0.5]}

    assert Hyperband(2, 2, None, 0).doomed(records, ["late"]) == []
    assert Hyperband(2, 2, None, 0, strict=True).doomed(records, ["late"]) == ["late"]
