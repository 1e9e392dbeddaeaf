"""Who is called at an event, in which order, and who is not."""

import pytest
import torch

from fulgurite import Callback, LightningModule, Trainer
from fulgurite.callbacks import EarlyStopping, ModelCheckpoint
from fulgurite.metrics import Moment
from fulgurite.runtime.hooks import CALLBACKS_ONLY, SHARED, Hooks, call, overrides
from fulgurite.testing import QUIET, TinyModule, batches, record_hooks


class Named(Callback):
    def __init__(self, name, calls):
        self.name, self.calls = name, calls

    def on_train_epoch_end(self, trainer, pl_module):
        self.calls.append(self.name)

    on_train_start = on_train_epoch_end


def test_callbacks_first_then_the_module_monitors_last():
    """At the epoch's end, early stopping and checkpoints see what the module logged there."""
    calls = []

    class Stops(EarlyStopping):
        def on_train_epoch_end(self, trainer, pl_module):
            calls.append("stops")
            assert "x" in trainer.callback_metrics

    class Saves(ModelCheckpoint):
        def on_train_epoch_end(self, trainer, pl_module):
            calls.append("saves")

    class Own(TinyModule):
        def on_train_epoch_end(self):
            calls.append("module")
            self.log("x", 1.0)

        def on_train_start(self):
            calls.append("module")

    trainer = Trainer(
        max_epochs=1, callbacks=[Saves(), Stops("x"), Named("a", calls), Named("b", calls)],
        **{**QUIET, "enable_checkpointing": None},
    )  # fmt: skip
    trainer.fit(Own(), batches(1))

    assert calls == ["a", "b", "module", "a", "b", "module", "stops", "saves"]


def test_an_event_that_nobody_hears_is_none():
    """It costs the loops a truth test; callbacks that override nothing are not listeners."""
    moment, module = Moment(), TinyModule()
    hooks = Hooks(None, module, LightningModule, [Callback(), Callback()], moment)

    assert [name for name in (*SHARED, *CALLBACKS_ONLY) if getattr(hooks, name) is not None] == []


def test_the_answer_is_the_modules():
    """What a callback returns is ignored: only the module can skip the rest of an epoch."""
    seen = []

    class Skips(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(batch_idx)
            return -1

    trainer = Trainer(max_epochs=1, callbacks=Skips(), **QUIET)
    trainer.fit(TinyModule(), batches(3))
    assert seen == [0, 1, 2] and trainer.global_step == 3

    model = TinyModule()
    model.on_train_batch_start = lambda batch, batch_idx: -1 if batch_idx == 1 else None
    trainer = Trainer(max_epochs=2, **QUIET)
    trainer.fit(model, batches(3))
    assert (trainer.global_step, trainer.current_epoch) == (2, 2)


def test_overriding_is_by_class_or_by_object():
    """A hook set on the object counts as well."""
    module = TinyModule()
    assert overrides(module, "training_step", LightningModule)
    assert not overrides(module, "on_train_start", LightningModule)

    module.on_train_start = lambda: None
    assert overrides(module, "on_train_start", LightningModule)


def test_the_name_of_the_hook_is_known_inside_and_put_back():
    """Also where the hook raises."""
    moment = Moment(hook="outer")

    def fails():
        assert moment.hook == "setup"
        raise KeyError

    with pytest.raises(KeyError):
        call(moment, "setup", fails)
    assert moment.hook == "outer"


@pytest.mark.parametrize("name", [*SHARED, *CALLBACKS_ONLY])
def test_every_event_is_a_hook_of_callbacks_and_modules(name):
    """No event without a method that documents it."""
    assert getattr(Callback, name).__doc__
    assert name in CALLBACKS_ONLY or getattr(LightningModule, name).__doc__


@pytest.mark.parametrize("loaders", [1, 2])
def test_the_loaders_index_is_passed_where_there_are_several(loaders):
    """With one loader, hooks without ``dataloader_idx`` work; with two, each batch tells its loader."""
    seen = []

    class Short(Callback):
        def on_validation_batch_start(self, trainer, pl_module, *rest):
            seen.append(rest[1:])

    class Sees(TinyModule):
        def on_validation_batch_end(self, outputs, batch, batch_idx, *rest):
            seen.append((batch_idx, *rest))

    trainer = Trainer(callbacks=Short(), max_epochs=1, **QUIET)
    trainer.validate(Sees(), [batches(1)] * loaders, verbose=False)

    assert seen == [(0,), (0,)] if loaders == 1 else [(0, 0), (0, 0), (0, 1), (0, 1)]


def test_recorded_hooks_change_nothing():
    """The kit's record of hooks leaves the weights of a run as they are, and lists the module's and the callback's."""
    plain, recorded, callback = TinyModule(), TinyModule(), Callback()
    Trainer(max_epochs=1, **QUIET).fit(plain, batches(2))
    calls = record_hooks(recorded, callback)
    Trainer(max_epochs=1, callbacks=callback, **QUIET).fit(recorded, batches(2))

    assert torch.equal(plain.layer.weight, recorded.layer.weight)
    assert calls.index("Callback.on_fit_start") + 1 == calls.index("TinyModule.on_fit_start")
    assert calls.count("TinyModule.training_step") == 2 and calls[-1] == "TinyModule.teardown"
    with pytest.raises(TypeError, match="LightningModule"):
        record_hooks(torch.nn.Linear(1, 1))
