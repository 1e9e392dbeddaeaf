"""EarlyStopping: after which epoch training ends, and why."""

import warnings

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import EarlyStopping, ModelCheckpoint
from fulgurite.callbacks.early_stopping import EarlyStoppingReason as Reason
from support.counted import INF, NAN, Counted, fit

# What is logged by epoch, the settings, and epochs trained, waits, best and reason as Lightning 2.6 has them.
DECISIONS = [
    ([1] * 9, {}, 4, 3, 1, Reason.PATIENCE_EXHAUSTED),
    ([3, 2, 2, 2, 2, 1, 1, 1], {"patience": 2}, 4, 2, 2, Reason.PATIENCE_EXHAUSTED),
    ([3, 2, 2, 2], {"patience": 0}, 3, 1, 2, Reason.PATIENCE_EXHAUSTED),
    ([3, 2.9, 2.8, 2.7, 2.6, 2.5, 2.4, 2.3], {"patience": 2, "min_delta": 0.15}, 8, 1, 2.4, Reason.NOT_STOPPED),
    ([3, 2, 2, 2, 2, 1, 1, 1], {"patience": 2, "mode": "max"}, 3, 2, 3, Reason.PATIENCE_EXHAUSTED),
    ([3, NAN, 2, 2], {}, 2, 0, 3, Reason.NON_FINITE_METRIC),
    ([3, INF, 2, 2], {}, 2, 0, 3, Reason.NON_FINITE_METRIC),
    ([3, NAN, 2, 2, NAN, NAN], {"patience": 2, "check_finite": False}, 5, 2, 2, Reason.PATIENCE_EXHAUSTED),
    ([3, 2, 1, 0.5, 0.1], {"stopping_threshold": 1}, 4, 0, 1, Reason.STOPPING_THRESHOLD),
    ([3, 2, 11, 0.5], {"divergence_threshold": 10}, 3, 0, 2, Reason.DIVERGENCE_THRESHOLD),
    ([3, 2, 1, 0.5], {"divergence_threshold": 1.5, "mode": "max"}, 3, 1, 3, Reason.DIVERGENCE_THRESHOLD),
]


@pytest.mark.parametrize(("values", "options", "epochs", "waits", "best", "reason"), DECISIONS)
def test_decisions(tmp_path, values, options, epochs, waits, best, reason):
    """Patience, thresholds and values that are no numbers each stop at their epoch, and say so."""
    callback = EarlyStopping("val", **options)
    trainer = fit(tmp_path, callback, model=Counted(values), max_epochs=8)

    assert (trainer.current_epoch, callback.wait_count) == (epochs, waits)
    assert callback.best_score.item() == pytest.approx(best)
    assert callback.stopping_reason is reason
    assert callback.stopped_epoch == (0 if reason is Reason.NOT_STOPPED else epochs - 1)
    assert (callback.stopping_reason_message is None) == (reason is Reason.NOT_STOPPED)


MOMENTS = [
    ({"check_val_every_n_epoch": 2}, {}, 4, 20),
    ({"val_check_interval": 2}, {}, 1, 4),
    ({"val_check_interval": 2}, {"check_on_train_epoch_end": True}, 2, 10),
    ({"min_epochs": 5}, {}, 5, 25),
    ({"fast_dev_run": True}, {}, 1, 1),
]


@pytest.mark.parametrize(("arguments", "options", "epochs", "steps"), MOMENTS)
def test_moments(tmp_path, arguments, options, epochs, steps):
    """It checks after validation or at the epoch's end, and lets ``min_epochs`` go first."""
    callback = EarlyStopping("val", patience=1, **options)
    trainer = fit(tmp_path, callback, model=Counted([5] * 9), **{"max_epochs": 8, **arguments})

    assert (trainer.current_epoch, trainer.global_step) == (epochs, steps)


# Without validation: the arguments, the option, and epochs trained as Lightning 2.6 has them.
UNVALIDATED = [
    ({}, None, 2),
    ({"val_check_interval": 0.5}, None, 5),
    ({"val_check_interval": 5}, None, 5),
    ({"check_val_every_n_epoch": 2}, None, 5),
    ({"check_val_every_n_epoch": None, "val_check_interval": 9}, None, 5),
    ({"check_val_every_n_epoch": 2}, True, 2),
    ({}, False, 5),
]


@pytest.mark.parametrize("without", [{"val": False}, {"limit_val_batches": 0}])
@pytest.mark.parametrize(("arguments", "option", "epochs"), UNVALIDATED)
def test_without_validation(tmp_path, without, arguments, option, epochs):
    """The end of an epoch counts where validation would have come there; else nothing does, and a warning says so."""
    callback = EarlyStopping("train", patience=1, check_on_train_epoch_end=option)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        trainer = fit(tmp_path, callback, max_epochs=5, **without, **arguments)

    assert trainer.current_epoch == epochs
    assert sum("check_on_train_epoch_end=True" in str(one.message) for one in said) == (epochs == 5)


def test_what_the_module_logs_at_the_epochs_end_is_seen(tmp_path):
    """It checks after the module's own ``on_train_epoch_end``."""

    class AtEnd(Counted):
        def on_train_epoch_end(self):
            self.log("late", 1.0)

    assert fit(tmp_path, EarlyStopping("late", patience=1), model=AtEnd(), max_epochs=8).current_epoch == 2


def test_a_metric_that_is_not_there(tmp_path):
    """Strict by default, with what there is instead; otherwise one warning and no check."""
    with pytest.raises(RuntimeError, match="`nope` which is not available. Available: `train`, `val`"):
        fit(tmp_path, EarlyStopping("nope"))
    with pytest.warns(RuntimeWarning, match="`nope`") as said:
        fit(tmp_path, EarlyStopping("nope", strict=False), max_epochs=3)

    assert len([one for one in said if "nope" in str(one.message)]) == 1


def test_patience_goes_on_after_a_resume(tmp_path):
    """The waits of before count, and the state has Lightning's words."""
    stop, keep = EarlyStopping("val", patience=3), ModelCheckpoint(tmp_path / "kept", "one")
    fit(tmp_path, stop, keep, model=Counted([1] * 9))
    state = torch.load(tmp_path / "kept/one.ckpt")["callbacks"]["EarlyStopping{'monitor': 'val', 'mode': 'min'}"]
    resumed = EarlyStopping("val", patience=1)
    trainer = fit(tmp_path, resumed, model=Counted([1] * 9), max_epochs=9, ckpt_path=keep.best_model_path)

    assert state == {
        "wait_count": 1,
        "stopped_epoch": 0,
        "best_score": 1.0,
        "patience": 3,
        "stopping_reason": 0,
        "stopping_reason_message": None,
    }
    assert (trainer.current_epoch, resumed.patience) == (4, 3)


def test_verbose_tells_each_improvement(tmp_path, caplog):
    """The log says what got better and why it ended."""
    fit(tmp_path, EarlyStopping("val", verbose=True, patience=1), model=Counted([3, 2, 2]), max_epochs=5)

    said = [line for line in caplog.messages if "val" in line]
    assert [line.split("val")[1].split(".")[0] for line in said] == [
        " starts at 3",
        " improved by 1",
        " did not improve in the last 1 check(s)",
    ]


@pytest.mark.parametrize("options", [{"mode": "best"}, {"patience": -1}])
def test_arguments_that_cannot_work(options):
    """The error names what was given."""
    name, value = next(iter(options.items()))
    with pytest.raises(MisconfigurationException, match=f"{name}={value!r}"):
        EarlyStopping("val", **options)
