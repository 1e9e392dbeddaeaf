"""WeightAveraging: who sees the average, who the current weights, and that nothing of either is lost."""

import copy
from functools import partial

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, WeightAveraging
from support.resumed import Net, check_resume, quiet, read, rows, trained


class Mean(Callback):
    """The plain mean of the weights after each step, as anyone would write it."""

    def __init__(self):
        self.weights = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.weights.append(pl_module.head.weight.detach().clone().cpu())

    @property
    def value(self):
        return torch.stack(self.weights).mean(0)


class LossOf(Callback):
    """The head's weights in each validation, and what they log."""

    def __init__(self):
        self.weights = []

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        self.weights.append(pl_module.head.weight.detach().clone().cpu())


def test_validation_file_and_model_have_the_average_and_training_does_not(tmp_path):
    """The mean of all steps is validated, saved and left; training goes on from the last step's own weights."""
    mean, seen, alone = Mean(), LossOf(), Net()
    trained(Callback(), tmp_path / "alone", alone, epochs=2)
    model = Net()
    trained(WeightAveraging(), tmp_path, model, mean, seen, epochs=2)

    kept = read(tmp_path / "1.ckpt")
    for averaged in (seen.weights[-1], kept["state_dict"]["head.weight"], model.head.weight):
        assert torch.allclose(averaged, mean.value)
    assert torch.equal(kept["current_model_state"]["head.weight"], alone.head.weight)
    assert torch.equal(mean.weights[-1], alone.head.weight)
    assert kept["averaging_state"]["n_averaged"] == 10


def test_a_file_loads_as_the_average(tmp_path):
    """`load_from_checkpoint` needs to know nothing of averaging."""
    model = Net()
    trained(EMAWeightAveraging(decay=0.9), tmp_path, model, epochs=2)

    assert torch.equal(Net.load_from_checkpoint(tmp_path / "1.ckpt", "cpu").head.weight, model.head.weight)


class Every(WeightAveraging):
    """Takes every third step, and every second epoch."""

    def should_update(self, step_idx=None, epoch_idx=None):
        return (step_idx or 1) % 3 == 0 or (epoch_idx or 1) % 2 == 0


@pytest.mark.parametrize("make", [
    WeightAveraging,
    Every,
    partial(WeightAveraging, use_buffers=False),
    partial(EMAWeightAveraging, decay=0.8),
    partial(EMAWeightAveraging, decay=0.8, update_every_n_steps=4, update_starting_at_step=12),
    partial(EMAWeightAveraging, update_every_n_steps=0, update_starting_at_epoch=3),
    partial(WeightAveraging, device="cpu"),
])  # fmt: skip
def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path, make):
    """From any epoch's file, with a new callback and a model that began elsewhere."""
    check_resume(make, tmp_path, partial(Net, norm=True))


def test_a_run_goes_on_within_an_accumulation_window(tmp_path):
    """Batches that do not step are not averaged, before the break and after it."""
    check_resume(partial(EMAWeightAveraging, decay=0.5), tmp_path, interrupted_after=(2,), accumulate_grad_batches=2)


def test_a_run_goes_on_from_a_file_written_after_its_end(tmp_path):
    """Then the model holds the average, but the file has the current weights as well."""
    alone = trained(EMAWeightAveraging(decay=0.8), tmp_path / "alone")
    short = trained(EMAWeightAveraging(decay=0.8), tmp_path / "short", epochs=3)
    short.save_checkpoint(tmp_path / "end.ckpt")

    model = Net(seed=9)
    trained(EMAWeightAveraging(decay=0.8), tmp_path / "on", model, ckpt_path=tmp_path / "end.ckpt")

    assert all(map(torch.equal, model.parameters(), alone.lightning_module.parameters()))
    assert torch.equal(read(tmp_path / "end.ckpt")["state_dict"]["head.weight"], short.lightning_module.head.weight)


def test_a_finished_run_that_is_resumed_leaves_the_average_too(tmp_path):
    """There is nothing left to train, and the model is the one that the first run left."""
    first = trained(WeightAveraging(), tmp_path, epochs=2)
    model = Net(seed=9)

    trained(WeightAveraging(), tmp_path / "again", model, epochs=2, ckpt_path=tmp_path / "1.ckpt")

    assert torch.equal(model.head.weight, first.lightning_module.head.weight)


def test_what_is_tested_is_the_average(tmp_path):
    """Also by the trainer that has trained, and by one that never did."""
    model = Net()
    trainer = trained(EMAWeightAveraging(decay=0.9), tmp_path, model, epochs=2)
    (expected,) = trainer.test(model, rows(2, seed=1), verbose=False)

    (same,) = trainer.test(model, rows(2, seed=1), ckpt_path=tmp_path / "1.ckpt", verbose=False)
    (other,) = quiet(EMAWeightAveraging()).test(Net(), rows(2, seed=1), ckpt_path=tmp_path / "1.ckpt", verbose=False)

    assert expected == same == other


def test_before_the_first_update_the_current_weights_stand_in(tmp_path):
    """A start that lies beyond the end costs nothing: what was trained stays, and somebody says so."""
    alone, model = Net(), Net()
    trained(Callback(), tmp_path / "alone", alone, epochs=2)

    with pytest.warns(UserWarning, match="never averaged in 10 steps"):
        trained(EMAWeightAveraging(update_starting_at_step=1000), tmp_path, model, epochs=2)

    assert torch.equal(model.head.weight, alone.head.weight)
    assert torch.equal(read(tmp_path / "1.ckpt")["state_dict"]["head.weight"], alone.head.weight)


def test_a_second_fit_averages_anew(tmp_path):
    """With the same callback: neither the steps nor the average of the run before are in the way."""
    averaging, mean, model = WeightAveraging(), Mean(), Net(seed=2)
    trained(averaging, tmp_path / "first", epochs=2)

    trained(averaging, tmp_path / "second", model, mean, epochs=1)

    assert torch.allclose(model.head.weight, mean.value)


def test_an_error_in_validation_leaves_the_current_weights(tmp_path):
    """The average was in the model for the moment only."""

    class Broken(Net):
        def validation_step(self, batch, batch_idx):
            raise ZeroDivisionError

    mean, model = Mean(), Broken()
    save = ModelCheckpoint(dirpath=tmp_path, filename="broken", save_on_exception=True)
    trainer = quiet(WeightAveraging(), mean, save, max_epochs=1, enable_checkpointing=True)
    with pytest.raises(ZeroDivisionError):
        trainer.fit(model, rows(), rows(2, seed=1))

    kept = read(tmp_path / "broken.ckpt")
    assert torch.equal(model.head.weight, mean.weights[-1])
    assert torch.equal(kept["current_model_state"]["head.weight"], mean.weights[-1])
    assert torch.allclose(kept["state_dict"]["head.weight"], mean.value)


def test_a_file_without_an_average_begins_one(tmp_path):
    trained(Callback(), tmp_path, epochs=1)
    mean, model = Mean(), Net()

    with pytest.warns(UserWarning, match="written without WeightAveraging"):
        trained(WeightAveraging(), tmp_path / "on", model, mean, epochs=2, ckpt_path=tmp_path / "0.ckpt")

    assert torch.allclose(model.head.weight, mean.value)


def test_files_of_weights_alone_are_warned_of(tmp_path):
    """Nobody is asked what they hold, so they hold what is trained and not the average."""
    save = ModelCheckpoint(dirpath=tmp_path, save_weights_only=True)

    with pytest.warns(UserWarning, match="these files hold the current weights and not their average"):
        quiet(WeightAveraging(), save, max_epochs=1, enable_checkpointing=True).fit(Net(), rows(), rows(1))


def test_a_saved_model_of_another_kind_is_left_alone(tmp_path):
    """After the fit the trainer tests another model; its file has nothing of the first one's average."""
    trainer = trained(WeightAveraging(), tmp_path, epochs=1)
    other = Net(seed=5)
    trainer.test(other, rows(1), verbose=False)

    trainer.save_checkpoint(tmp_path / "other.ckpt")

    kept = read(tmp_path / "other.ckpt")
    assert torch.equal(kept["state_dict"]["head.weight"], other.head.weight)
    assert "current_model_state" not in kept


@pytest.mark.parametrize(("make", "error", "told"), [
    (lambda: WeightAveraging(average=1), TypeError, "no argument 'average'"),
    (lambda: WeightAveraging(avg_fn=3), TypeError, "avg_fn=3"),
    (lambda: WeightAveraging(avg_fn=min, multi_avg_fn=min), ValueError, "Pass one of them"),
    (lambda: EMAWeightAveraging(decay=2), ValueError, "decay=2"),
    (lambda: EMAWeightAveraging(update_every_n_steps=-1), ValueError, "update_every_n_steps=-1"),
    (lambda: EMAWeightAveraging(avg_fn=min), TypeError, "averages by `decay`"),
])  # fmt: skip
def test_wrong_arguments_are_named_at_once(make, error, told):
    with pytest.raises(error, match=told):
        make()


def test_a_copy_of_it_is_independent(tmp_path):
    """Copies made before a run average for themselves."""
    averaging = EMAWeightAveraging(decay=0.9)
    copied, model = copy.deepcopy(averaging), Net()
    one = trained(averaging, tmp_path / "one", epochs=1)

    trained(copied, tmp_path / "other", model, epochs=1)

    assert torch.equal(model.head.weight, one.lightning_module.head.weight)


@pytest.mark.parametrize("device", ["nowhere", 10**30, -(10**30)])
def test_a_device_that_is_none_is_refused(device):
    """Also a number that torch can't hold."""
    with pytest.raises(MisconfigurationException, match="WeightAveraging.device="):
        WeightAveraging(device=device)
