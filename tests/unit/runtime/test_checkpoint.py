"""Saving and going on: what a file holds, and that a run from it is the run that was broken off."""

import pytest
import torch

from fulgurite import Callback, Trainer
from fulgurite.base.errors import CheckpointError, MisconfigurationException
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.testing import QUIET, TinyModule, batches
from support.observed import FullData, Noted

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step`")


class Momentum(TinyModule):
    """An optimizer and a scheduler with a memory; it notes the rows that it trains on."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def training_step(self, batch, batch_idx):
        self.rows.append((self.current_epoch, batch_idx, batch[0, 0].item()))
        return super().training_step(batch, batch_idx)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"}]


class SaveAt(Callback):
    """Saves in one hook of one batch or epoch, and remembers how often it did."""

    def __init__(self, hook, epoch, batch=None):
        self.epoch, self.batch, self.count = epoch, batch, 0
        setattr(self, hook, self.save)

    def save(self, trainer, pl_module, *args):
        self.count += 1
        if trainer.current_epoch == self.epoch and (self.batch is None or args[-1] == self.batch):
            trainer.save_checkpoint("saved.ckpt")

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.count = state_dict["count"]


def quiet(**arguments):
    return Trainer(**{**QUIET, "max_epochs": 3, "num_sanity_val_steps": 0, "log_every_n_steps": 1, **arguments})


def run(callback=None, ckpt_path=None, model=None, number=5, val=None, **arguments):
    model, logger = model or Momentum(), Noted()
    trainer = quiet(callbacks=callback, **{"logger": logger, **arguments})
    trainer.fit(model, batches(number), val, ckpt_path=ckpt_path)
    return trainer, model, logger


PLACES = [
    ("on_train_batch_end", 1, 2), ("on_train_batch_end", 0, 0), ("on_train_batch_end", 1, 4),
    ("on_train_epoch_end", 0, None), ("on_validation_end", 1, None), ("on_train_epoch_start", 1, None),
    ("on_train_end", 3, None),
]  # fmt: skip


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_resumed_run_is_the_run_that_was_not_broken_off(place, accumulate):
    """From a file saved anywhere: no row twice, none left out, the same weights and counters."""
    arguments = {"accumulate_grad_batches": accumulate, "val": batches(1)}
    whole, model, logger = run(saving := SaveAt(*place), **arguments)

    resumed, other, _ = run(again := SaveAt(*place), "saved.ckpt", **arguments)

    done = torch.load("saved.ckpt", weights_only=True)["fulgurite"]["progress"]
    assert torch.equal(model.layer.weight, other.layer.weight)
    assert torch.equal(model.layer.bias, other.layer.bias)
    assert (resumed.global_step, resumed.current_epoch) == (whole.global_step, whole.current_epoch)
    assert resumed.batches_that_stepped == whole.batches_that_stepped
    assert other.rows == model.rows[len(model.rows) - len(other.rows) :]
    assert len(other.rows) == 15 - done["earlier_batches"] - done["batches_processed"]
    assert again.count == saving.count


@pytest.mark.parametrize("place", PLACES[:6], ids=str)
def test_rows_go_on_where_they_were(place):
    """The x-axis has no gap, and values are the same; a row that was not written when the file was is written anew."""
    _, _, whole = run(SaveAt(*place), val=batches(1))
    _, _, after = run(SaveAt(*place), "saved.ckpt", val=batches(1))
    first = after.values("loss")[0][0]

    assert after.values("loss") == [pair for pair in whole.values("loss") if pair[0] >= first]
    waiting = place[0] == "on_train_batch_end"
    assert first == torch.load("saved.ckpt", weights_only=True)["global_step"] - waiting


def test_a_file_saved_at_the_end_has_nothing_left_to_do():
    """No batch is trained, the weights are the file's."""
    _, model, _ = run(SaveAt("on_train_end", 3))
    trainer, other, _ = run(ckpt_path="saved.ckpt")

    assert other.rows == [] and torch.equal(model.layer.weight, other.layer.weight)
    assert (trainer.global_step, trainer.current_epoch) == (15, 3)


def test_more_epochs_than_before():
    """A finished run goes on with a higher limit, and refuses one below what is done."""
    run(SaveAt("on_train_end", 3))
    trainer, model, _ = run(ckpt_path="saved.ckpt", max_epochs=4)
    assert [row[:2] for row in model.rows] == [(3, index) for index in range(5)]

    with pytest.raises(MisconfigurationException, match="3 epochs.*max_epochs=2"):
        run(ckpt_path="saved.ckpt", max_epochs=2)


def test_saving_without_a_run_is_an_error():
    """The message says what to do first."""
    with pytest.raises(AttributeError, match="`validate`, `test` or `predict`"):
        quiet().save_checkpoint("x.ckpt")


def test_another_number_of_optimizers():
    """The error counts both."""

    class Two(Momentum):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def configure_optimizers(self):
            return [torch.optim.SGD(self.parameters(), lr=0.1), torch.optim.SGD(self.parameters(), lr=0.1)]

    run(SaveAt("on_train_epoch_end", 0))

    with pytest.raises(CheckpointError, match=r"1 optimizer.*returned 2"):
        run(ckpt_path="saved.ckpt", model=Two())


def test_a_file_of_weights_cannot_be_resumed_but_loaded():
    """It holds no optimizer and no callback; ``fit`` says so, ``load_from_checkpoint`` and ``test`` take it."""
    trainer, model, _ = run()
    trainer.save_checkpoint("weights.ckpt", weights_only=True)
    found = torch.load("weights.ckpt", weights_only=True)
    assert not {"optimizer_states", "lr_schedulers", "callbacks"} & set(found)

    with pytest.raises(KeyError, match="load_from_checkpoint"):
        run(ckpt_path="weights.ckpt")
    assert torch.equal(Momentum.load_from_checkpoint("weights.ckpt").layer.weight, model.layer.weight)
    other = Momentum()
    quiet().test(other, batches(1), ckpt_path="weights.ckpt", verbose=False)
    assert torch.equal(other.layer.weight, model.layer.weight)


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_a_file_that_is_not_there(verb):
    """The path is named, and nothing was begun that stays open."""
    trainer = quiet()

    with pytest.raises(FileNotFoundError, match="nowhere.ckpt"):
        getattr(trainer, verb)(TinyModule(), batches(1), ckpt_path="nowhere.ckpt")
    assert trainer.state.status == "interrupted"


def test_another_models_weights():
    """torch's own error names the keys; with ``strict_loading=False`` what fits is taken."""

    class Wider(TinyModule):
        def __init__(self):
            super().__init__()
            self.more = torch.nn.Linear(1, 1)

    trainer, model, _ = run(model=TinyModule())
    trainer.save_checkpoint("tiny.ckpt")
    with pytest.raises(RuntimeError, match="more.weight"):
        quiet().test(Wider(), batches(1), ckpt_path="tiny.ckpt", verbose=False)

    lenient = Wider()
    lenient.strict_loading = False
    quiet().test(lenient, batches(1), ckpt_path="tiny.ckpt", verbose=False)
    assert torch.equal(lenient.layer.weight, model.layer.weight)


def test_what_a_file_holds():
    """The keys of Lightning's layout; users' keys; tensors as they were."""

    class Own(Momentum):
        def on_save_checkpoint(self, checkpoint):
            checkpoint["mine"] = {"rows": len(self.rows)}

        def on_load_checkpoint(self, checkpoint):
            self.loaded = checkpoint["mine"]["rows"]

    model, data = Own(), FullData()
    trainer = quiet(callbacks=SaveAt("on_train_epoch_end", 0), max_epochs=1)
    trainer.fit(model, datamodule=data)

    found = torch.load("saved.ckpt", "cpu", weights_only=True)
    assert {
        "epoch", "global_step", "pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states",
        "lr_schedulers", "mine", "FullData",
    } <= set(found)  # fmt: skip
    assert (found["epoch"], found["global_step"], found["mine"], found["FullData"]) == (0, 2, {"rows": 2}, {"seen": 1})
    assert found["callbacks"] == {"SaveAt": {"count": 1}}
    assert torch.equal(found["state_dict"]["layer.weight"], model.layer.weight)
    other = Own()
    quiet().fit(other, datamodule=FullData(), ckpt_path="saved.ckpt")
    assert other.loaded == 2


def test_states_of_callbacks_that_are_gone(recwarn):
    """A warning names them, and the run goes on."""
    run(SaveAt("on_train_epoch_end", 0))
    run(ckpt_path="saved.ckpt")

    assert any("'SaveAt'" in str(one.message) for one in recwarn)


def test_last_and_best():
    """``"last"`` takes the newest file, or starts afresh with a warning; ``"best"`` what the callback holds best."""
    keep = ModelCheckpoint(dirpath="kept", save_last=True)
    trainer, _, _ = run(keep, val=batches(1), enable_checkpointing=None)
    assert trainer.test(dataloaders=batches(1), ckpt_path="best", verbose=False)
    assert trainer.ckpt_path == keep.best_model_path

    resumed, model, _ = run(
        ModelCheckpoint(dirpath="kept", save_last=True), "last", max_epochs=4, enable_checkpointing=None
    )
    assert [row[0] for row in model.rows] == [3] * 5
    assert resumed.ckpt_path.endswith("last.ckpt")
    with pytest.raises(ValueError, match="best"):
        run(ckpt_path="best")
    with pytest.warns(UserWarning, match="starting from scratch"):
        _, fresh, _ = run(ModelCheckpoint(dirpath="empty", save_last=True), "last", enable_checkpointing=None)
    assert len(fresh.rows) == 15


def test_places_that_are_not_supported():
    """They are refused by name."""
    with pytest.raises(MisconfigurationException, match="registry:mine"):
        run(ckpt_path="registry:mine")


def test_best_needs_a_checkpoint_callback():
    """Without one, or before it saved anything, the error says so."""
    with pytest.raises(ValueError, match="ModelCheckpoint"):
        quiet().test(TinyModule(), batches(1), ckpt_path="best")
    trainer = quiet(callbacks=ModelCheckpoint(dirpath="kept"), enable_checkpointing=None)
    with pytest.raises(ValueError, match="saved nothing"):
        trainer.test(TinyModule(), batches(1), ckpt_path="best")


def test_manual_optimisation_resumes_too():
    """Both optimizers' memories and the count of steps come back."""

    class Hand(TinyModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            for optimizer in self.optimizers():
                optimizer.zero_grad()
                self.manual_backward(self.loss(batch))
                optimizer.step()

        def configure_optimizers(self):
            return [torch.optim.Adam([one], lr=0.1) for one in (self.layer.weight, self.layer.bias)]

    whole, model, _ = run(SaveAt("on_train_batch_end", 1, 2), model=Hand())
    resumed, other, _ = run(SaveAt("on_train_batch_end", 1, 2), "saved.ckpt", model=Hand())

    assert torch.equal(model.layer.weight, other.layer.weight) and torch.equal(model.layer.bias, other.layer.bias)
    assert (
        (resumed.global_step, resumed.batches_that_stepped)
        == (whole.global_step, whole.batches_that_stepped)
        == (30, 15)
    )


def test_a_stream_resumes_in_mid_epoch():
    """Without a length the rows are passed over one by one."""

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(list(batches(5)))

    models = []
    for path in (None, "saved.ckpt"):
        models.append(model := Momentum())
        trainer = quiet(callbacks=SaveAt("on_train_batch_end", 1, 2))
        trainer.fit(model, torch.utils.data.DataLoader(Stream(), batch_size=None), ckpt_path=path)

    assert models[1].rows == models[0].rows[8:]
    assert torch.equal(models[0].layer.weight, models[1].layer.weight)


def test_saving_in_training_changes_nothing():
    """The weights are those of a run without it; hooks may still log afterwards."""

    class Saves(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            trainer.save_checkpoint("now.ckpt")
            self.log("after", 1.0)

    _, plain, _ = run()
    _, saved, logger = run(Saves())

    assert torch.equal(plain.layer.weight, saved.layer.weight) and len(logger.values("after")) == 15


def test_an_error_in_saving_that_the_user_catches():
    """The step goes on and can log as before."""

    class Careful(TinyModule):
        def training_step(self, batch, batch_idx):
            try:
                self.trainer.save_checkpoint("x.ckpt")
            except OSError:
                self.log("failed", 1.0)
            return super().training_step(batch, batch_idx)

        def on_save_checkpoint(self, checkpoint):
            raise OSError("full")

    _, _, logger = run(model=Careful())

    assert len(logger.values("failed")) == 15


@pytest.mark.parametrize(("kind", "lacks"), [(torch.optim.Adam, "betas"), (torch.optim.RMSprop, "alpha")])
def test_another_kind_of_optimizer(kind, lacks):
    """The error says what the file has, what is lacking, and the way out; not a bare KeyError at the first step."""
    run(SaveAt("on_train_epoch_end", 0))

    class Other(Momentum):
        def configure_optimizers(self):
            return kind(self.parameters())

    with pytest.raises(CheckpointError, match=f"another kind of optimizer than {kind.__name__}.*nesterov.*{lacks}"):
        quiet().fit(Other(), batches(5), ckpt_path="saved.ckpt")


@pytest.mark.parametrize(
    ("size", "rows", "said"), [(2, 10, "1 samples a batch; now there are 2"), (1, 7, "now there are 7")]
)
def test_other_data_in_the_middle_of_an_epoch(size, rows, said):
    """What was seen is counted in batches: it is said what that means."""

    def loader(rows, size):
        return torch.utils.data.DataLoader(torch.ones(rows, 4), batch_size=size)

    trainer = quiet(callbacks=SaveAt("on_train_batch_end", 1, 2), max_epochs=2)
    trainer.fit(Momentum(), loader(5, 1))

    with pytest.warns(UserWarning, match=f"in the middle of an epoch, after 3 batches.*{said}"):
        quiet(max_epochs=2).fit(Momentum(), loader(rows, size), ckpt_path="saved.ckpt")
