"""Corners of the Trainer that real scripts reach."""

import pickle

import numpy as np
import pytest
import torch

from fulgurite import Callback, Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import EarlyStopping, ModelCheckpoint
from fulgurite.loggers import CSVLogger
from fulgurite.testing import QUIET, TinyModule, batches


def quiet(**arguments):
    return Trainer(**{**QUIET, **arguments})


class Watched(TinyModule):
    """Logs a validation loss that never gets better."""

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", torch.tensor(1.0))


def test_a_file_written_at_the_end_of_an_epoch_knows_what_was_measured(tmp_path):
    """The resumed run goes straight to the epoch's end, where early stopping asks for the validation loss."""
    keep = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=5, save_top_k=-1)
    quiet(max_epochs=1, callbacks=[keep], enable_checkpointing=None).fit(Watched(), batches(5), batches(2))
    trainer = quiet(max_epochs=3, callbacks=[EarlyStopping("val_loss", patience=10)])

    trainer.fit(Watched(), batches(5), batches(2), ckpt_path=tmp_path / "step=5.ckpt")

    assert trainer.current_epoch == 3


def test_a_file_that_does_not_tell_what_was_measured_is_measured_again(tmp_path):
    """Files of Lightning hold no metrics; the validation of their last batch is repeated."""
    keep = ModelCheckpoint(dirpath=tmp_path, filename="{step}", every_n_train_steps=5, save_top_k=-1)
    quiet(max_epochs=1, callbacks=[keep], enable_checkpointing=None).fit(Watched(), batches(5), batches(2))
    checkpoint = torch.load(tmp_path / "step=5.ckpt", weights_only=True)
    del checkpoint["fulgurite"]
    torch.save(checkpoint, tmp_path / "foreign.ckpt")
    trainer = quiet(max_epochs=3, callbacks=[EarlyStopping("val_loss", patience=10)])

    trainer.fit(Watched(), batches(5), batches(2), ckpt_path=tmp_path / "foreign.ckpt")

    assert (trainer.current_epoch, trainer.global_step) == (3, 15)


def test_another_optimizer_takes_over_during_a_run():
    """``trainer.optimizers = [...]`` holds from the next step."""

    class Exchange(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 2:
                trainer.optimizers = [torch.optim.SGD(pl_module.parameters(), lr=0.0)]
                self.weights = [parameter.clone().cpu() for parameter in pl_module.parameters()]

    exchange, module = Exchange(), TinyModule()

    quiet(max_epochs=1, callbacks=[exchange]).fit(module, batches(5))

    assert all(torch.equal(a, b) for a, b in zip(exchange.weights, module.parameters(), strict=True))


@pytest.mark.parametrize(("interval", "factor"), [("epoch", 0.5**3), ("step", 0.5**9)])
def test_skipping_the_rest_of_an_epoch_still_steps_the_schedulers(interval, factor):
    """The batch that returned -1 counts as the epoch's last, as in Lightning 2.6."""

    class Skipping(TinyModule):
        def on_train_batch_start(self, batch, batch_idx):
            return -1 if batch_idx == 2 else None

        def configure_optimizers(self):
            self.optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 1, gamma=0.5)
            return {"optimizer": self.optimizer, "lr_scheduler": {"scheduler": schedule, "interval": interval}}

    module = Skipping()

    quiet(max_epochs=3).fit(module, batches(5))

    assert module.optimizer.param_groups[0]["lr"] == pytest.approx(factor)


def test_a_metric_that_was_only_updated_has_no_step_value(tmp_path):
    """torchmetrics' ``update`` leaves nothing to show for the step; the epoch has its value."""
    torchmetrics = pytest.importorskip("torchmetrics")

    class Measured(TinyModule):
        def __init__(self):
            super().__init__()
            self.mean = torchmetrics.MeanMetric()

        def training_step(self, batch, batch_idx):
            self.mean.update(float(batch_idx))
            self.log("mean", self.mean, on_step=True, on_epoch=True)
            return super().training_step(batch, batch_idx)

    trainer = quiet(max_epochs=1, log_every_n_steps=1, logger=CSVLogger(tmp_path))

    trainer.fit(Measured(), batches(3))

    assert trainer.callback_metrics["mean_epoch"] == 1.0


def test_an_interval_that_nothing_uses_is_not_checked():
    """Without validation ``val_check_interval`` may be longer than the epoch."""
    trainer = quiet(max_epochs=1, limit_val_batches=0, val_check_interval=100)

    trainer.fit(TinyModule(), batches(3), batches(1))

    assert trainer.global_step == 3


def test_whole_numbers_of_other_kinds():
    """NumPy's integers and ``1e1`` are numbers of steps."""
    trainer = quiet(
        max_steps=1e1, max_epochs=np.int64(9), accumulate_grad_batches=np.int32(2), limit_train_batches=np.int64(4)
    )

    trainer.fit(TinyModule(), batches(6))

    assert (trainer.global_step, trainer.current_epoch) == (10, 5)


def test_a_trainer_can_be_pickled():
    """Before a run it holds nothing that could not travel."""
    assert pickle.loads(pickle.dumps(quiet(max_epochs=7))).max_epochs == 7


def test_options_that_files_do_not_take_are_refused(tmp_path):
    """Nothing is accepted and ignored."""
    trainer = quiet(max_epochs=1)
    trainer.fit(TinyModule(), batches(1))

    with pytest.raises(TypeError, match="storage_options"):
        trainer.save_checkpoint(tmp_path / "x.ckpt", storage_options={"acl": "private"})


def test_what_code_asks_of_a_trainer_on_one_device():
    """The usual idioms around profilers, samplers and meshes work."""
    trainer, module = quiet(max_epochs=1), TinyModule()
    with trainer.profiler.profile("mine"):
        trainer.fit(module, batches(1))

    assert trainer.distributed_sampler_kwargs is None
    assert module.device_mesh is None


def test_a_generator_ends_training_once_it_is_exhausted():
    """With ``max_steps`` alone there would be no end of empty epochs."""
    trainer = quiet(max_steps=10, max_epochs=-1)

    with pytest.warns(UserWarning, match="yielded no batch in epoch 1"):
        trainer.fit(TinyModule(), (batch for batch in list(batches(3))))

    assert trainer.global_step == 3


def test_a_batch_hook_that_needs_a_loader_index_is_told_before_the_first_batch():
    """With one loader the argument needs a default, in hooks as in steps."""

    class Needing(TinyModule):
        def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx):
            raise AssertionError("never reached")

    with pytest.raises(RuntimeError, match="on_validation_batch_end"):
        quiet().validate(Needing(), batches(1), verbose=False)


def test_steps_cannot_be_estimated_without_a_model():
    """The error says when they can."""
    with pytest.raises(MisconfigurationException, match="configure_optimizers"):
        _ = quiet(max_epochs=1).estimated_stepping_batches
