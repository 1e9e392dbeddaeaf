"""Runs on a CUDA device: where things lie, mixed precision and its scaler, and a loop that never waits for it."""

import warnings

import pytest
import torch
from torch.utils.data import DataLoader

from fulgurite import Callback, Trainer
from fulgurite.callbacks import EMAWeightAveraging, NonFiniteGuard, WeightAveraging
from fulgurite.loggers import CSVLogger
from fulgurite.precision import MixedPrecision
from fulgurite.testing import QUIET, TinyModule, batches

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore:There is a `validation_step`"),
]

DEVICE = "cuda"
SCALED = {"precision": "16-mixed", "gradient_clip_val": 0.5}


class Placed(TinyModule):
    """Notes the devices of batches and weights, and the type of what the layer gives, step by step."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def _note(self, verb, batch):
        self.seen.setdefault(verb, set()).add((batch.device.type, self.device.type, self(batch).dtype))

    def training_step(self, batch, batch_idx):
        self._note("fit", batch)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self._note("validate", batch)
        super().validation_step(batch, batch_idx)

    def test_step(self, batch, batch_idx):
        self._note("test", batch)
        super().test_step(batch, batch_idx)

    def predict_step(self, batch, batch_idx):
        self._note("predict", batch)
        return self(batch)


class Strict(Callback):
    """Makes every wait for the device an error, from the start of batch 5 to the start of batch 10."""

    def __init__(self):
        self.switched = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx in (5, 10):
            mode = "error" if batch_idx == 5 else "default"
            self.switched.append(mode)
            torch.cuda.set_sync_debug_mode(mode)


class ThreeOnTheBar(TinyModule):
    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("loss", loss, prog_bar=True)
        self.log("double", 2 * loss.detach(), prog_bar=True)
        self.log("mean", batch.mean(), prog_bar=True)
        return loss


class Silent(TinyModule):
    def training_step(self, batch, batch_idx):
        return self.loss(batch)


@pytest.fixture(autouse=True)
def waiting_is_allowed_again():
    """A test that fails between two batches leaves no trap for the next."""
    yield
    torch.cuda.set_sync_debug_mode("default")


def quiet(**arguments):
    return Trainer(**{**QUIET, "accelerator": DEVICE, "devices": 1, "max_epochs": 1, **arguments})


def scaled():
    """Mixed float16, with a first scale so small that no gradient overflows, which would leave a step out."""
    return [MixedPrecision("16-mixed", DEVICE, torch.amp.GradScaler(DEVICE, init_scale=256.0))]


def pinned(number=4):
    return DataLoader(batches(number).dataset, batch_size=2, pin_memory=True)


def weights(module):
    return module.layer.weight.detach().float().cpu().clone()


@pytest.mark.parametrize(
    ("arguments", "dtype"),
    [({}, torch.float32), (SCALED, torch.float16), ({"precision": "bf16-mixed"}, torch.bfloat16)],
    ids=["32-true", "16-mixed", "bf16-mixed"],
)
def test_every_verb_runs_on_the_device(arguments, dtype):
    """Batches, pinned or not, and weights are there in each step, and results of the promised type come back."""
    trainer, model = quiet(**arguments), Placed()
    before = weights(model)

    # The default first scale is too large; the first steps find a smaller one.
    trainer.fit(model, pinned(16), batches(2))
    (validated,) = trainer.validate(model, pinned(2), verbose=False)
    (tested,) = trainer.test(model, batches(2), verbose=False)
    predictions = trainer.predict(model, pinned(2))

    assert model.seen == {verb: {(DEVICE, DEVICE, dtype)} for verb in ("fit", "validate", "test", "predict")}
    assert not torch.equal(weights(model), before) and weights(model).isfinite().all()
    assert validated["val_loss"] == tested["test_loss"]
    assert [prediction.shape for prediction in predictions] == [(2, 1), (2, 1)]


def test_the_device_trains_what_the_cpu_trains():
    """In float32 the weights after two epochs are those of a run on the CPU."""
    models = TinyModule(), TinyModule()

    for model, accelerator in zip(models, (DEVICE, "cpu"), strict=True):
        quiet(accelerator=accelerator, max_epochs=2).fit(model, pinned() if accelerator != "cpu" else batches())

    torch.testing.assert_close(weights(models[0]), weights(models[1]), rtol=1e-3, atol=1e-4)


def test_gradients_are_clipped_at_their_true_size():
    """With a scaler, too, a step is no longer than the learning rate times the limit."""
    trainer, model = quiet(plugins=scaled(), gradient_clip_val=1e-3, limit_train_batches=1), TinyModule(lr=1.0)
    before = torch.nn.utils.parameters_to_vector(model.parameters()).detach().cpu().clone()

    trainer.fit(model, pinned())

    after = torch.nn.utils.parameters_to_vector(model.parameters()).detach().cpu()
    assert (after - before).norm().item() == pytest.approx(1e-3, rel=0.05)


class NotesScale(Callback):
    """The scaler's state when training begins."""

    def on_train_start(self, trainer, pl_module):
        self.state = trainer.scaler.state_dict()


def test_a_resumed_run_goes_on_at_its_scale(tmp_path):
    """The scaler's state is in the checkpoint, and a new run begins with it, not with torch's first scale."""
    path, first, noted = tmp_path / "a.ckpt", quiet(plugins=scaled()), NotesScale()
    first.fit(TinyModule(), pinned())
    first.save_checkpoint(path)

    second, model = quiet(**SCALED, max_epochs=2, callbacks=[noted]), TinyModule()
    second.fit(model, pinned(), ckpt_path=path)

    saved = torch.load(path, map_location="cpu", weights_only=True)["MixedPrecision"]
    assert noted.state == saved
    assert (saved["scale"], saved["_growth_tracker"]) == (256.0, 4)
    assert second.scaler.state_dict()["_growth_tracker"] == 8
    assert (second.current_epoch, second.global_step) == (2, 8)
    assert weights(model).isfinite().all()


def test_a_checkpoint_of_the_device_is_taken_up_with_its_optimizer(tmp_path):
    """A run that was interrupted between epochs ends with the weights of one that was not, momentum included."""

    class Adaptive(TinyModule):
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=self.lr)

    first, whole, resumed = quiet(), Adaptive(), Adaptive()
    first.fit(Adaptive(), pinned())
    first.save_checkpoint(tmp_path / "a.ckpt")

    quiet(max_epochs=2).fit(whole, pinned())
    quiet(max_epochs=2).fit(resumed, pinned(), ckpt_path=tmp_path / "a.ckpt")

    torch.testing.assert_close(weights(resumed), weights(whole), rtol=1e-5, atol=1e-6)


class Normed(TinyModule):
    """With running statistics, and a count of batches in whole numbers."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))


@pytest.mark.parametrize(("module", "callback", "arguments"), [
    (Silent, None, {}),
    (ThreeOnTheBar, None, {}),
    (Silent, None, {"gradient_clip_val": 0.5, "accumulate_grad_batches": 2}),
    (ThreeOnTheBar, None, {"precision": "bf16-mixed"}),
    (Silent, None, {"precision": "bf16-true"}),
    (Normed, WeightAveraging, {}),
    (Normed, EMAWeightAveraging, {}),
    (Silent, NonFiniteGuard, {}),
], ids=["silent", "logs", "clips", "bf16-mixed", "bf16-true", "average", "moving average", "guard"])  # fmt: skip
def test_between_batches_nothing_waits_for_the_device(module, callback, arguments):
    """Neither values for a bar make the host wait, nor other types of numbers, nor callbacks that look at each step."""
    strict, model = Strict(), module()

    trainer = quiet(callbacks=[strict, *([callback()] if callback else [])], log_every_n_steps=1000, **arguments)
    trainer.fit(model, pinned(16))

    assert strict.switched == ["error", "default"]
    assert trainer.progress.total_batch_idx == 15


class FiveMeans(TinyModule):
    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        for name in "abcde":
            self.log(name, loss, on_step=True, on_epoch=True)
        return loss


class Waits(Callback):
    """How often the host waited between one note and the next."""

    def __init__(self, warned):
        self.warned, self.before, self.found = warned, 0, {}

    def note(self, what):
        seen = sum("synchroniz" in str(each.message) for each in self.warned)
        self.found[what], self.before = seen - self.before, seen

    def on_train_epoch_start(self, trainer, pl_module):
        torch.cuda.set_sync_debug_mode("warn")
        self.note(f"before epoch {trainer.current_epoch}")

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.note(f"before batch {batch_idx}")

    def on_validation_start(self, trainer, pl_module):
        self.note("to the end of the last batch")

    def on_validation_end(self, trainer, pl_module):
        self.note("in validation")

    def on_train_end(self, trainer, pl_module):
        torch.cuda.set_sync_debug_mode("default")
        self.note("at the end")


def test_a_row_is_waited_for_once(tmp_path):
    """However many values it has; so are a validation's values, and those of an epoch."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        waits = Waits(warned)
        logger = CSVLogger(tmp_path)
        trainer = quiet(callbacks=[waits], logger=logger, log_every_n_steps=4, num_sanity_val_steps=0)
        trainer.fit(FiveMeans(), pinned(10), pinned(4))

    assert trainer.global_step == 10
    assert {what: count for what, count in waits.found.items() if count} == {
        "before batch 4": 1, "before batch 8": 1, "in validation": 1, "at the end": 1,
    }  # fmt: skip


def test_averages_are_those_of_the_cpu():
    """Batch norms' statistics among them, and the number of batches that they saw, cut off to a whole one."""
    models = Normed(), Normed()
    models[1].load_state_dict(models[0].state_dict())

    for model, accelerator in zip(models, (DEVICE, "cpu"), strict=True):
        quiet(accelerator=accelerator, callbacks=[WeightAveraging()]).fit(model, batches(8, 4))

    one, other = models[0].state_dict(), models[1].state_dict()
    assert one["layer.1.num_batches_tracked"] == other["layer.1.num_batches_tracked"] > 0
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-3, atol=1e-4)


def test_a_wait_would_be_seen():
    """The check above has teeth: a step that asks for a number is caught."""

    class Asks(TinyModule):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            loss.item()
            return loss

    with pytest.raises(RuntimeError, match="synchroniz"):
        quiet(callbacks=[Strict()]).fit(Asks(), pinned(16))


def test_memory_that_runs_out_names_the_batch():
    """With its shapes, what is free and what this process holds."""

    class Greedy(TinyModule):
        def training_step(self, batch, batch_idx):
            if batch_idx == 1:
                torch.empty(2**50, dtype=torch.uint8, device=DEVICE)
            return super().training_step(batch, batch_idx)

    with pytest.raises(torch.OutOfMemoryError) as caught:
        Trainer(max_epochs=1, **{**QUIET, "accelerator": "gpu", "devices": 1}).fit(Greedy(), batches())

    where, why = caught.value.__notes__
    assert where == "In `training_step`: epoch 0, batch 1, step 1."
    assert "batch of 2x4 float32" in why and "On cuda:0" in why and "Tensors of this process take" in why
