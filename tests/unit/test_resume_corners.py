"""Going on from a checkpoint in odd places: in the same process, after half a set-up, with other loaders."""

import os
import signal
import sys
from copy import deepcopy

import pytest
import torch
from torch.utils.data import DataLoader

from fulgurite import Callback, Trainer
from fulgurite.base.errors import CheckpointError
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.loggers import CSVLogger
from fulgurite.testing import QUIET, TinyModule

ROWS = torch.arange(12.0).repeat(4, 1).T


class Sees(TinyModule):
    """Remembers the samples of each epoch."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def training_step(self, batch, batch_idx):
        self.seen.setdefault(self.current_epoch, []).extend(batch[:, 0].tolist())
        return super().training_step(batch, batch_idx) * 1e-6


class Interrupts(Callback):
    def __init__(self, epoch, batch, times=1):
        self.place, self.times = (epoch, batch), times

    def on_before_backward(self, trainer, pl_module, loss):
        if (trainer.current_epoch, trainer.progress.batches_ready - 1) == self.place:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def loader(**options):
    return DataLoader(ROWS, batch_size=3, **{"shuffle": True, **options})


def trainer(folder, *callbacks, **options):
    kept = ModelCheckpoint(folder / "kept", **options.pop("checkpoint", {}))
    quiet = {**QUIET, "enable_checkpointing": True, "max_epochs": 3, "num_sanity_val_steps": 0, **options}
    return Trainer(callbacks=[*callbacks, kept], **quiet)


needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")


@needs_signals
def test_the_same_loader_with_its_workers_goes_on(tmp_path):
    """As in a notebook: the loader still has workers of the run that was interrupted."""
    workers = loader(num_workers=1, persistent_workers=True)
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path, Interrupts(1, 1)).fit(first := Sees(), workers)
    trainer(tmp_path).fit(second := Sees(), workers, ckpt_path="last")

    assert len(first.seen[1]) == 6
    assert sorted(first.seen[1] + second.seen[1]) == list(range(12))


def test_a_set_up_that_fails_leaves_no_checkpoint(tmp_path):
    """Nothing was restored yet: such a file would be the newest, and empty."""
    saving = {"save_on_exception": True}
    trainer(tmp_path, checkpoint=saving, max_epochs=1).fit(TinyModule(), loader())

    class Bad(TinyModule):
        def configure_optimizers(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trainer(tmp_path, checkpoint=saving).fit(Bad(), loader(), ckpt_path="last")

    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["epoch=0-step=4.ckpt"]


@needs_signals
def test_a_second_ctrl_c_leaves_the_files_alone(tmp_path):
    """It may have broken off a step: nothing of it is saved, and nothing is removed."""
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path, Interrupts(1, 1, times=2)).fit(TinyModule(), loader())

    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["epoch=0-step=4.ckpt"]


def test_counting_the_steps_beforehand_costs_no_exactness(tmp_path):
    """`estimated_stepping_batches` in `configure_optimizers` opens the loaders early."""

    class Counts(Sees):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            total = self.trainer.estimated_stepping_batches
            return [optimizer], [torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=total)]

    def own():
        return loader(generator=torch.Generator().manual_seed(5))

    every = {"save_top_k": -1, "filename": "{epoch}"}
    trainer(tmp_path, checkpoint=every).fit(whole := Counts(), own())
    trainer(tmp_path, checkpoint=every).fit(again := Counts(), own(), ckpt_path=tmp_path / "kept" / "epoch=0.ckpt")

    assert again.seen == {epoch: whole.seen[epoch] for epoch in (1, 2)}


def test_more_validation_loaders_than_before(tmp_path):
    class Several(TinyModule):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            self.log("val_loss", self.layer(batch).mean())

    trainer(tmp_path, max_epochs=1).fit(Several(), loader(), [loader(shuffle=False)])
    (again := trainer(tmp_path)).fit(Several(), loader(), [loader(shuffle=False)] * 2, ckpt_path="last")

    assert again.global_step == 12


def test_a_limit_that_is_passed_already_ends_the_epoch_in_order(tmp_path):
    """Its validation comes all the same."""
    steps = {"every_n_train_steps": 3, "save_top_k": -1}
    trainer(tmp_path, max_steps=3, checkpoint=steps).fit(TinyModule(), loader())
    validated = []

    class Validated(TinyModule):
        def on_validation_end(self):
            validated.append(self.current_epoch)

    again = trainer(tmp_path, max_epochs=2, limit_train_batches=2)
    again.fit(Validated(), loader(), loader(shuffle=False), ckpt_path=tmp_path / "kept" / "epoch=0-step=3.ckpt")

    assert validated == [0, 1] and again.current_epoch == 2


def test_rows_are_cut_back_in_the_same_trainer_too(tmp_path):
    logger = CSVLogger(tmp_path)
    both = trainer(tmp_path, logger=logger, log_every_n_steps=1, checkpoint={"save_top_k": -1, "filename": "{epoch}"})
    both.fit(TinyModule(), loader())
    both.fit(TinyModule(), loader(), ckpt_path=tmp_path / "kept" / "epoch=0.ckpt")

    with open(logger.experiment.metrics_file_path) as file:
        lines = file.read().splitlines()
    place = lines[0].split(",").index("step")
    steps = [int(line.split(",")[place]) for line in lines[1:]]
    assert sorted(set(steps)) == list(range(12)) and steps == sorted(steps)


@pytest.mark.parametrize(
    "damage",
    [{"progress": "x"}, {"progress": {"epoch": "x"}}, {"meters": [{}]}, {"board": {"callback": 1}}, {"feeds": 3}],
    ids=str,
)
def test_what_a_file_tells_of_the_place_may_be_anything(tmp_path, damage):
    """The error says that the file is damaged, and how to have its weights."""
    trainer(tmp_path, max_epochs=1, checkpoint={"every_n_train_steps": 3}).fit(TinyModule(), loader())
    (path,) = (tmp_path / "kept").iterdir()
    content = torch.load(path, weights_only=True)
    content["fulgurite"] |= damage
    torch.save(content, path)

    with pytest.raises(CheckpointError, match="damaged.*load_from_checkpoint"):
        trainer(tmp_path).fit(TinyModule(), loader(), ckpt_path=path)


@pytest.mark.parametrize("damage", [{"lr": "x"}, {"lr": torch.ones(2)}, {"foreach": torch.ones(2)}], ids=str)
def test_settings_of_an_optimizer_may_be_anything(tmp_path, damage):
    """Said before the first step, in which torch would fail on them."""
    trainer(tmp_path, max_epochs=1, checkpoint={"every_n_train_steps": 3}).fit(TinyModule(), loader())
    (path,) = (tmp_path / "kept").iterdir()
    content = torch.load(path, weights_only=True)
    content["optimizer_states"][0]["param_groups"][0] |= damage
    torch.save(content, path)

    with pytest.raises(CheckpointError, match=f"{next(iter(damage))}=.* was expected"):
        trainer(tmp_path).fit(TinyModule(), loader(), ckpt_path=path)


def test_going_on_leaves_no_file_that_the_whole_run_would_not(tmp_path):
    """Near its end no save is due any more, and none was lacking."""
    steps = {"every_n_train_steps": 3, "save_top_k": -1, "filename": "{step}"}
    trainer(tmp_path, max_steps=11, checkpoint=steps).fit(TinyModule(), loader())
    whole = sorted(path.name for path in (tmp_path / "kept").iterdir())

    again = trainer(tmp_path, max_steps=11, checkpoint=steps)
    again.fit(TinyModule(), loader(), ckpt_path=tmp_path / "kept" / "step=9.ckpt")

    assert again.global_step == 11
    assert whole == ["step=3.ckpt", "step=6.ckpt", "step=9.ckpt"]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == whole


@needs_signals
@pytest.mark.parametrize("every", [2, 3], ids=["left without a score", "due at the step"])
def test_a_save_that_waits_for_a_validation_is_made_up_for(tmp_path, every):
    """Ctrl-C breaks off the validation that brings its score; the run that goes on has the files of the whole one."""

    class Breaks(Callback):
        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
            if trainer.global_step == 3:
                os.kill(os.getpid(), signal.SIGINT)

    def kept(folder):
        return sorted(path.name for path in (folder / "kept").iterdir())

    options = {"max_epochs": 2, "val_check_interval": 3}
    saving = {"checkpoint": {"monitor": "val_loss", "save_top_k": -1, "every_n_train_steps": every}}
    trainer(tmp_path / "whole", **options, **deepcopy(saving)).fit(TinyModule(), loader(), loader(shuffle=False))
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path, Breaks(), **options, **deepcopy(saving)).fit(TinyModule(), loader(), loader(shuffle=False))
    again = trainer(tmp_path, **options, **deepcopy(saving))
    again.fit(TinyModule(), loader(), loader(shuffle=False), ckpt_path="last")

    assert kept(tmp_path) == kept(tmp_path / "whole")
    assert len(again.checkpoint_callback.best_k_models) == len(kept(tmp_path))
