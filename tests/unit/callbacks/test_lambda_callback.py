"""LambdaCallback: functions as hooks."""

import pytest

from fulgurite.callbacks import LambdaCallback
from fulgurite.callbacks.lambda_callback import HOOKS
from fulgurite.core.callback import Callback
from fulgurite.runtime.hooks import overrides
from support.counted import fit


def test_every_hook_can_be_a_function(tmp_path):
    """Each is called with what a method would get after ``self``."""
    seen = []
    callback = LambdaCallback(**{name: lambda *args, own=name, **kwargs: seen.append(own) for name in HOOKS})
    fit(tmp_path, callback, max_epochs=1)

    assert seen[:2] == ["setup", "on_fit_start"] and seen[-1] == "teardown"
    assert seen.count("on_train_batch_end") == 5


def test_only_what_is_given_counts_as_overridden():
    """The rest stays silent."""
    callback = LambdaCallback(on_fit_end=print, on_fit_start=None)

    assert [name for name in HOOKS if overrides(callback, name, Callback)] == ["on_fit_end"]


def test_a_misspelt_hook_is_named():
    """With the nearest one that there is."""
    with pytest.raises(TypeError, match="'on_train_epoch_ends'. Did you mean 'on_train_epoch_end'"):
        LambdaCallback(on_train_epoch_ends=print)
    with pytest.raises(TypeError, match="on_fit_end=3"):
        LambdaCallback(on_fit_end=3)
