"""A trained model is never lost: a monitor that is not logged, a trigger that never comes, a run that is cut short."""

import warnings

import pytest
import torch
from torch.utils.data import DataLoader

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import Callback, ModelCheckpoint
from fulgurite.core.module import LightningModule
from support.counted import Counted, Saves, files, fit, quiet


class WithoutValidation(LightningModule):
    """Logs in training and in test, but validates nothing: the document's model in small."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).square().mean()
        self.log("total_loss", loss, on_step=True, prog_bar=True)
        self.log("kld", loss)
        return loss

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self.layer(batch).square().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def data():
    return DataLoader(torch.ones(5, 4), batch_size=1)


def warned(found):
    return [str(one.message) for one in found if "monitor=" in str(one.message)]


@pytest.mark.parametrize("trigger", [{}, {"every_n_train_steps": 2}, {"every_n_train_steps": 1000}])
def test_a_monitor_that_fit_never_logs(tmp_path, trigger):
    """One warning, with what was logged and the way out; the last weights stand under the name and load again."""
    callback = ModelCheckpoint("./model_checkpoints", "vae_weights", "test_loss", mode="min", **trigger)
    trainer, model = quiet(tmp_path, callback, max_epochs=3), WithoutValidation()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        trainer.fit(model, data())

    (said,) = warned(found)
    path = tmp_path / "model_checkpoints/vae_weights.ckpt"
    assert "monitor='test_loss'" in said and "total_loss, kld" in said and str(path) in said and "self.log(" in said
    assert files(tmp_path / "model_checkpoints") == ["vae_weights.ckpt"]
    assert callback.best_model_path == str(path) and callback.best_model_score is None
    assert torch.equal(WithoutValidation.load_from_checkpoint(path, "cpu").layer.weight, model.layer.weight)
    assert torch.load(path)["global_step"] == 15


def test_the_kept_weights_are_the_best_there_are(tmp_path):
    """``test(ckpt_path="best")`` takes them."""
    trainer = quiet(tmp_path, ModelCheckpoint(monitor="test_loss"))
    with pytest.warns(UserWarning, match="test_loss"):
        trainer.fit(WithoutValidation(), data())

    assert "test_loss" in trainer.test(ckpt_path="best", dataloaders=data(), verbose=False)[0]


def test_there_is_one_unscored_file_at_most(tmp_path):
    """Each replaces the one before, and its name claims no score."""
    saves, callback = Saves(), ModelCheckpoint(tmp_path / "kept", "{epoch}-{test_loss:.2f}", "test_loss", save_top_k=3)
    with pytest.warns(UserWarning, match="test_loss"):
        fit(tmp_path, saves, callback, model=WithoutValidation(), val=False, max_epochs=3)

    assert [name for name, _, _ in saves.seen] == [f"epoch={epoch}-test_loss=nan.ckpt" for epoch in range(3)]
    assert files(tmp_path / "kept") == ["epoch=2-test_loss=nan.ckpt"]


def test_the_first_scored_file_replaces_the_unscored(tmp_path):
    """A metric that comes later takes over, file and best alike."""

    class Late(WithoutValidation):
        def on_train_epoch_end(self):
            if self.current_epoch == 1:
                self.log("late", 0.5)

    callback = ModelCheckpoint(tmp_path / "kept", monitor="late")
    with pytest.warns(UserWarning, match="monitor='late'"):
        fit(tmp_path, callback, model=Late(), val=False, max_epochs=2)

    assert files(tmp_path / "kept") == ["epoch=1-step=10.ckpt"]
    assert callback.best_model_score == 0.5 and [*callback.best_k_models] == [callback.best_model_path]


def test_steps_before_the_first_validation_are_kept_quietly(tmp_path):
    """The metric is yet to come: the save of step 3 is kept, and scored at the validation of step 5."""
    saves, callback = Saves(), ModelCheckpoint(tmp_path / "kept", monitor="val", every_n_train_steps=3, save_top_k=-1)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*monitor=")
        fit(tmp_path, saves, callback)

    assert [step for _, step, _ in saves.seen] == [3, 5, 6, 9]
    assert files(tmp_path / "kept") == ["epoch=0-step=5.ckpt", "epoch=1-step=6.ckpt", "epoch=1-step=9.ckpt"]


@pytest.mark.parametrize("interval", [1.0, 2])
def test_a_misspelt_monitor_is_told_in_the_first_epoch(tmp_path, interval):
    """Validation ran without it: the error names the nearest metric, and the weights are saved first."""
    callback = ModelCheckpoint(tmp_path / "kept", monitor="vall")
    with pytest.raises(MisconfigurationException, match="Logged so far: train, val. Did you mean 'val'") as raised:
        fit(tmp_path, callback, val_check_interval=interval)

    assert len(files(tmp_path / "kept")) == 1
    assert callback.best_model_path in str(raised.value)


def test_epoch_metrics_of_training_score_what_validation_saved(tmp_path):
    """A save in mid-epoch precedes the training epoch's own mean: it is scored at the epoch's end."""

    class Mean(Counted):
        def training_step(self, batch, batch_idx):
            self.log("mean", 1.0, on_step=False, on_epoch=True)
            return self.layer(batch).mean()

    callback = ModelCheckpoint(tmp_path / "kept", monitor="mean")
    fit(tmp_path, callback, model=Mean(), max_epochs=1, val_check_interval=2)

    assert files(tmp_path / "kept") == ["epoch=0-step=5.ckpt"]
    assert callback.best_model_score == 1.0


def test_a_trigger_that_never_came(tmp_path, caplog):
    """Fewer steps than ``every_n_train_steps``: the last weights are kept, and one line says where."""
    callback = ModelCheckpoint(tmp_path / "kept", every_n_train_steps=100)
    fit(tmp_path, callback)

    assert any("No checkpoint was due" in line and callback.best_model_path in line for line in caplog.messages)
    assert torch.load(callback.best_model_path)["global_step"] == 10
    assert len(files(tmp_path / "kept")) == 1


def test_a_run_that_is_stopped_in_its_first_epoch(tmp_path):
    """Whoever stops it, its weights are kept."""

    class Stops(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            trainer.should_stop = batch_idx == 1

    callback = ModelCheckpoint(tmp_path / "kept", every_n_epochs=3)
    fit(tmp_path, Stops(), callback, val=False)

    assert torch.load(callback.best_model_path)["global_step"] == 2


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({"save_top_k": 0, "monitor": "nope"}, {}),
        ({"every_n_epochs": 0}, {}),
        ({"monitor": "nope"}, {"fast_dev_run": True}),
        ({"every_n_train_steps": 100}, {"max_epochs": 0}),
    ],
)
def test_nothing_is_kept_where_that_was_asked_for(tmp_path, options, arguments):
    """No file, no warning: saving was switched off, tried only, or there was no training."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*monitor=")
        fit(tmp_path, ModelCheckpoint(tmp_path / "kept", **options), val=False, **arguments)

    assert files(tmp_path / "kept") == []


def test_the_unscored_file_goes_when_better_ones_are_scored(tmp_path):
    """In a second fit the metric comes back but does not enter the best: only the best stays."""
    callback = ModelCheckpoint(tmp_path / "kept", monitor="val", every_n_train_steps=3)
    model = Counted([1, 5, 5, 5])
    trainer = fit(tmp_path, callback, model=model, max_epochs=1)
    best = callback.best_model_path
    trainer.max_epochs = 2
    trainer.fit(model, data(), data())

    assert callback.best_model_path == best
    assert files(tmp_path / "kept") == ["epoch=0-step=5.ckpt"]
