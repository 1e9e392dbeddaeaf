"""One Trainer for several runs, several Trainers for one module, and modules that travel."""

import copy
import io
import pickle

import pytest
import torch

from fulgurite import Callback, Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.testing import QUIET, TinyModule, batches, record_hooks
from support.observed import FullData, Noted

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step`")


def quiet(**arguments):
    return Trainer(**{**QUIET, "max_epochs": 1, "num_sanity_val_steps": 0, **arguments})


def trained_by_hand(steps):
    """The weights after so many steps over the four batches, again and again."""
    model = TinyModule()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = list(batches(4))
    for step in range(steps):
        optimizer.zero_grad()
        model.layer(data[step % 4]).square().mean().backward()
        optimizer.step()
    return model.layer.weight


def test_a_finished_fit_does_not_train_again():
    """The epoch limit counts over all fits: the hooks around the run are called, no batch is."""
    trainer, model = quiet(), TinyModule()
    trainer.fit(model, batches(4))
    calls = record_hooks(model)

    trainer.fit(model, batches(4))

    assert (trainer.global_step, trainer.current_epoch) == (4, 1)
    assert calls == [
        f"TinyModule.{hook}"
        for hook in ("prepare_data", "setup", "configure_optimizers", "on_fit_start", "on_fit_end", "teardown")
    ]


@pytest.mark.parametrize("where", ["loop", "trainer"])
def test_raising_max_epochs_goes_on(where):
    """A second fit trains the epochs that were added, from these weights, and counts on."""
    trainer, model = quiet(logger=(logger := Noted()), log_every_n_steps=1), TinyModule()
    trainer.fit(model, batches(4))

    if where == "loop":
        trainer.fit_loop.max_epochs = 3
    else:
        trainer.max_epochs = 3
    trainer.fit(model, batches(4))

    assert trainer.max_epochs == trainer.fit_loop.max_epochs == 3
    assert (trainer.global_step, trainer.current_epoch) == (12, 3)
    assert torch.equal(model.layer.weight, trained_by_hand(12))
    assert [step for step, _ in logger.values("loss")] == list(range(12))
    assert logger.ends == ["success", "success"]


def test_max_steps_can_be_raised_too():
    """A run that a step limit ended in mid-epoch begins the next epoch with the first batch."""
    trainer, model = quiet(max_epochs=-1, max_steps=6), TinyModule()
    trainer.fit(model, batches(4))
    trainer.fit_loop.max_steps = 8

    trainer.fit(model, batches(4))

    assert (trainer.global_step, trainer.current_epoch) == (8, 3)


def test_another_model_takes_the_trainers_place():
    """The Trainer turns to the new one; the old one can still be used by itself."""
    trainer, first, second = quiet(), TinyModule(), TinyModule()
    trainer.fit(first, batches(4))
    trainer.max_epochs = 2

    trainer.fit(second, batches(4))

    assert trainer.lightning_module is second and trainer.model is second
    assert torch.equal(second.layer.weight, trained_by_hand(4))
    assert torch.equal(first.layer.weight, second.layer.weight)
    assert trainer.optimizers[0].param_groups[0]["params"][0] is second.layer.weight


def test_another_datamodule_brings_its_own_batches():
    """Nothing of the data of the run before is kept."""
    trainer, model = quiet(max_epochs=1), TinyModule()
    trainer.fit(model, datamodule=(first := FullData()))
    assert (trainer.num_training_batches, trainer.num_val_batches) == (2, [2])
    second = FullData()
    second.train_dataloader, second.val_dataloader = lambda: batches(5), lambda: [batches(1), batches(3)]
    trainer.max_epochs = 2

    trainer.fit(model, datamodule=second)

    assert (trainer.num_training_batches, trainer.num_val_batches) == (5, [1, 3])
    assert trainer.datamodule is second and second.trainer is trainer
    assert (first.torn_down, second.torn_down) == (["fit"], ["fit"])


def test_loaders_after_a_datamodule():
    """A run with loaders does not ask the datamodule of the run before."""
    trainer, model = quiet(), TinyModule()
    trainer.fit(model, datamodule=(data := FullData()))

    trainer.test(model, batches(3), verbose=False)

    assert trainer.datamodule is None and trainer.num_test_batches == [3] and data.torn_down == ["fit"]


def test_fit_test_fit():
    """A test in between changes nothing in the training that goes on."""
    trainer, model = quiet(), TinyModule()
    trainer.fit(model, batches(4))
    before = trainer.test(model, batches(2), verbose=False)
    assert (trainer.state.fn, trainer.global_step) == ("test", 4)
    trainer.max_epochs = 2

    trainer.fit(model, batches(4))

    assert torch.equal(model.layer.weight, trained_by_hand(8))
    assert trainer.test(model, batches(2), verbose=False) != before
    assert model.training


def test_a_checkpoint_saved_after_a_test_can_be_resumed():
    """A test in between does not cost the optimizer's state, nor the numbers of the training."""
    trainer, model = quiet(), TinyModule()
    trainer.fit(model, batches(4))
    trainer.test(model, batches(2), verbose=False)
    assert (trainer.num_training_batches, trainer.num_test_batches, len(trainer.optimizers)) == (4, [2], 1)
    trainer.save_checkpoint("after_test.ckpt")

    resumed, other = quiet(max_epochs=2), TinyModule()
    resumed.fit(other, batches(4), ckpt_path="after_test.ckpt")

    assert torch.equal(other.layer.weight, trained_by_hand(8))


def test_validate_before_fit():
    """Validation of untrained weights neither counts nor changes anything."""
    trainer, model = quiet(logger=(logger := Noted()), log_every_n_steps=1), TinyModule()

    (result,) = trainer.validate(model, batches(2), verbose=False)
    trainer.fit(model, batches(4), batches(2))

    assert result["val_loss"] > trainer.callback_metrics["val_loss"]
    assert torch.equal(model.layer.weight, trained_by_hand(4))
    assert [step for step, _ in logger.values("val_loss")] == [0, 3]


def test_metrics_are_of_the_last_run():
    """Each call begins with empty dicts; what was read before stays as it was."""
    trainer, model = quiet(), TinyModule()
    trainer.fit(model, batches(4), batches(2))
    kept = trainer.callback_metrics

    trainer.test(model, batches(2), verbose=False)

    assert set(trainer.callback_metrics) == {"test_loss"}
    assert set(kept) == {"loss", "val_loss"}


def test_two_trainers_share_a_module():
    """Each counts for itself, the module goes where it is trained."""
    model, first, second = TinyModule(), quiet(logger=Noted()), quiet(logger=Noted(), max_epochs=2)

    first.fit(model, batches(4))
    assert model.trainer is first
    second.fit(model, batches(4))
    assert model.trainer is second and model.logger is second.logger
    first.test(model, batches(2), verbose=False)

    assert model.trainer is first
    assert (first.global_step, second.global_step) == (4, 8)
    assert torch.equal(model.layer.weight, trained_by_hand(12))
    assert second.logger.values("test_loss") == [] and len(first.logger.values("test_loss")) == 1


def test_a_module_can_be_validated_by_another_trainer_in_mid_run():
    """A callback that runs a Trainer of its own on the same module gives it back as it was."""

    class Probing(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            other = quiet()
            other.validate(copy.deepcopy(pl_module), batches(2), verbose=False)

    trainer, model = quiet(max_epochs=2, callbacks=Probing()), TinyModule()
    trainer.fit(model, batches(4))

    assert torch.equal(model.layer.weight, trained_by_hand(8))


def test_evaluation_goes_on_with_the_last_model():
    """Without a model the last one is taken; without any it is an error."""
    trainer, model = quiet(), TinyModule()
    with pytest.raises(TypeError, match="LightningModule"):
        trainer.validate(dataloaders=batches(2))
    trainer.fit(model, batches(4))

    assert trainer.validate(dataloaders=batches(2), verbose=False) == trainer.validate(model, batches(2), verbose=False)


def copies(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    return [copy.deepcopy(module), copy.copy(module), pickle.loads(pickle.dumps(module)), loaded]


@pytest.mark.parametrize("barebones", [False, True])
def test_copies_made_during_a_fit_are_free(barebones):
    """They have the weights of the moment and no trainer, and another Trainer trains them."""
    made = []

    class Copying(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx == 1:
                made.extend(copies(pl_module))

        def on_validation_end(self, trainer, pl_module):
            made.append(copy.deepcopy(pl_module))

    trainer = quiet(callbacks=Copying(), barebones=barebones)
    trainer.fit(TinyModule(), batches(4), batches(1))

    assert len(made) >= 5
    for one in made:
        with pytest.raises(RuntimeError, match="not attached"):
            one.trainer
        assert "log" not in vars(one)
    later = quiet(logger=(logger := Noted()), log_every_n_steps=1)
    later.fit(made[0], batches(2))
    expected = TinyModule()
    quiet(max_epochs=2, limit_train_batches=2).fit(expected, batches(4))
    assert torch.equal(made[0].layer.weight, expected.layer.weight)
    assert len(logger.values("loss")) == 2


def test_a_log_that_the_user_replaced_stays():
    """As tests of modules do it: the run calls it, and leaves it where it is."""
    trainer, model, seen = quiet(), TinyModule(), []
    model.log = lambda name, value: seen.append(name)

    trainer.fit(model, batches(2), batches(1))

    assert seen == ["loss", "loss", "val_loss"] and "log" in vars(model)


def test_copies_made_after_a_fit_are_equal_and_free():
    """Deep copies, pickles and ``torch.save`` carry the weights and leave the trainer behind."""
    trainer, model = quiet(), TinyModule()
    trainer.fit(model, batches(4))

    for one in copies(model):
        assert torch.equal(one.layer.weight, model.layer.weight)
        with pytest.raises(RuntimeError, match="not attached"):
            one.trainer
    assert model.trainer is trainer


def test_a_module_without_a_trainer(recwarn):
    """It computes, its properties have defaults, and ``self.log`` warns and does nothing."""
    model = TinyModule()
    loss = model.training_step(torch.ones(2, 4), 0)

    assert loss.requires_grad
    assert (model.current_epoch, model.global_step, model.global_rank, model.local_rank) == (0, 0, 0, 0)
    assert (model.logger, model.loggers) == (None, [])
    assert (model.device, model.dtype, model.on_gpu) == (torch.device("cpu"), torch.float32, False)
    with pytest.raises(RuntimeError, match="TinyModule is not attached to a `Trainer`"):
        model.trainer


def test_a_trainer_set_by_hand_has_nowhere_to_log():
    """As unit tests of modules do it: everything but logging works, and that says what is missing."""
    model = TinyModule()
    model.trainer = quiet()

    assert model.current_epoch == 0
    with pytest.raises(MisconfigurationException, match="outside a hook"):
        model.log("x", 1.0)


def test_logging_after_the_run_says_so():
    """There is no step any more that a value could belong to."""
    trainer, model = quiet(), TinyModule()
    trainer.fit(model, batches(4))

    with pytest.raises(MisconfigurationException, match="outside a hook"):
        model.log("x", 1.0)


def test_a_second_fit_starts_its_optimizer_anew():
    """``configure_optimizers`` is asked again: momentum does not carry over, as in Lightning."""

    class Heavy(TinyModule):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    trainer, model, seen = quiet(), Heavy(), []
    model.on_train_start = lambda: seen.append(len(trainer.optimizers[0].state))
    trainer.fit(model, batches(4))
    trainer.max_epochs = 2
    trainer.fit(model, batches(4))

    assert seen == [0, 0]


def test_should_stop_is_of_one_fit():
    """A run that was asked to stop does not stop the next one."""
    trainer, model = quiet(max_epochs=5), TinyModule()
    model.on_train_epoch_end = lambda: setattr(trainer, "should_stop", trainer.current_epoch == 1)
    trainer.fit(model, batches(4))
    assert (trainer.current_epoch, trainer.should_stop) == (2, True)

    trainer.fit(model, batches(4))

    assert trainer.current_epoch == 5
