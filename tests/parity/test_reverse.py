"""The way back: what is trained here goes on in Lightning, and loads there."""

import logging
from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest
import torch

import fulgurite

lightning = pytest.importorskip("lightning.pytorch")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

EPOCH_END, MID_EPOCH = {}, {"every_n_train_steps": 3}
# Four batches an epoch, two epochs: the last file is written after step 8, or with step 6, in the second epoch.


def module_of(library: ModuleType) -> Any:
    """The same small model as a module of either library."""

    class Model(library.LightningModule):
        def __init__(self, lr=0.05, width=4):
            super().__init__()
            self.save_hyperparameters()
            torch.manual_seed(0)
            self.layer, self.seen = torch.nn.Linear(width, 1), []

        def training_step(self, batch, batch_idx):
            self.seen.append((self.current_epoch, batch_idx))
            loss = self.layer(batch).square().mean()
            self.log("loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.layer(batch).square().mean())

        def configure_optimizers(self):
            optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.lr)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

    return Model


def rows(batches):
    samples = torch.randn(2 * batches, 4, generator=torch.Generator().manual_seed(1))
    return torch.utils.data.DataLoader(samples, batch_size=2)


def fit(library, folder, max_epochs, cadence, ckpt_path=None, more=()):
    """Train with callbacks that keep a state; return the trainer and the model."""
    logging.disable(logging.WARNING)
    given = library.callbacks
    trainer = library.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        devices=1,
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[
            given.EarlyStopping("val_loss", patience=50),
            given.ModelCheckpoint(folder, monitor="val_loss", save_last=True, save_top_k=2, **cadence),
            given.Timer("01:00:00:00"),
            *more,
        ],
    )
    model = module_of(library)(lr=0.02)
    trainer.fit(model, rows(4), rows(2), ckpt_path=ckpt_path)
    return trainer, model


@pytest.fixture(params=[EPOCH_END, MID_EPOCH], ids=["epoch end", "mid-epoch"])
def saved(request, tmp_path):
    """A run here, with files at the end of epochs or within them: how often, the last file, the model at its end."""
    _, model = fit(fulgurite, tmp_path / "here", 2, request.param)
    return request.param, tmp_path / "here/last.ckpt", model


def test_lightning_goes_on_from_our_file(saved, tmp_path):
    """Lightning takes up the epoch, the batch, the step and the state of the callbacks, and trains to the end."""
    cadence, path, _ = saved

    trainer, model = fit(lightning, tmp_path / "there", 4, cadence, ckpt_path=path)

    assert model.seen[0] == ((2, 0) if cadence == EPOCH_END else (1, 2))
    assert model.seen[-1] == (3, 3)
    assert (trainer.current_epoch, trainer.global_step) == (4, 16)


def test_the_callbacks_states_arrive(saved):
    """When Lightning begins to train, its callbacks hold what ours held."""
    cadence, path, _ = saved
    ours, theirs = torch.load(path, weights_only=True)["callbacks"], {}

    class Looks(lightning.Callback):
        def on_train_start(self, trainer, pl_module):
            theirs.update({each.state_key: deepcopy(each.state_dict()) for each in trainer.callbacks})

    # The same folder, since Lightning keeps the list of files only where they lie.
    fit(lightning, path.parent, 4, cadence, ckpt_path=path, more=[Looks()])
    stopping, files, timer = (
        next(key for key in ours if key.startswith(name)) for name in ("EarlyStopping", "ModelCheckpoint", "Timer")
    )

    assert theirs[stopping] == ours[stopping]
    # The current score is noted in the file, but Lightning sets it anew; one word of ours it does not know.
    known = {name: value for name, value in ours[files].items() if name != "last_global_step_saved"}
    assert theirs[files] | {"current_score": None} == known | {"current_score": None}
    assert len(ours[files]["best_k_models"]) == 2
    assert theirs[timer]["time_elapsed"]["train"] > ours[timer]["time_elapsed"]["train"] > 0


def test_both_reach_the_same_weights(tmp_path):
    """From the end of an epoch, with optimizer and schedule restored, Lightning trains as we do."""
    fit(fulgurite, tmp_path / "here", 2, EPOCH_END)
    path = tmp_path / "here/last.ckpt"

    _, theirs = fit(lightning, tmp_path / "there", 4, EPOCH_END, ckpt_path=path)
    _, ours = fit(fulgurite, tmp_path / "again", 4, EPOCH_END, ckpt_path=path)

    torch.testing.assert_close(theirs.state_dict(), ours.state_dict(), rtol=1e-6, atol=0)
    assert not torch.equal(theirs.layer.weight, torch.load(path, weights_only=True)["state_dict"]["layer.weight"])


def test_lightning_loads_our_file(saved):
    """``load_from_checkpoint`` finds the weights and the hyperparameters."""
    _, path, _ = saved

    theirs = module_of(lightning).load_from_checkpoint(path)
    ours = module_of(fulgurite).load_from_checkpoint(path)

    assert dict(theirs.hparams) == dict(ours.hparams) == {"lr": 0.02, "width": 4}
    torch.testing.assert_close(theirs.state_dict(), ours.state_dict(), rtol=0, atol=0)
    assert not torch.equal(theirs.layer.weight, module_of(lightning)().layer.weight)
