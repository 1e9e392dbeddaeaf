"""What happens once, on which rank, and what all ranks decide together."""

import csv
import os
import time

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from fulgurite import LightningModule, Trainer
from fulgurite.base.errors import RanksDisagree
from fulgurite.callbacks import BasePredictionWriter, Callback, EarlyStopping, ModelCheckpoint, OnExceptionCheckpoint
from fulgurite.loggers import CSVLogger, TensorBoardLogger, TrackLogger
from fulgurite.testing import QUIET
from support.ranks import on_ranks, outcomes


class Net(LightningModule):
    def __init__(self, fails_on=None):
        super().__init__()
        self.weight = torch.nn.Linear(1, 1)
        self.told, self.fails_on = [], fails_on
        self.save_hyperparameters()

    def prepare_data(self):
        self.told.append("prepare_data")

    def training_step(self, batch, batch_idx):
        if self.trainer.current_epoch == 1 and self.trainer.global_rank == self.fails_on:
            raise ValueError(f"rank {self.fails_on} has enough")
        loss = self.weight(batch[0]).mean()
        self.log("loss", loss, sync_dist=True, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        # Each rank sees something else, and only rank 1 gets worse.
        self.log("val", float(self.trainer.current_epoch * self.trainer.global_rank))

    def predict_step(self, batch, batch_idx):
        return batch[0][:, 0]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Writes(BasePredictionWriter):
    def __init__(self, folder):
        super().__init__(write_interval="batch_and_epoch")
        self.folder, self.rows = folder, []

    def write_on_batch_end(self, trainer, module, prediction, batch_indices, batch, batch_idx, dataloader_idx):
        self.rows += batch_indices

    def write_on_epoch_end(self, trainer, module, predictions, batch_indices):
        (self.folder / f"rank_{trainer.global_rank}").write_text(f"{self.rows}")


def loader():
    return DataLoader(TensorDataset(torch.arange(8.0)[:, None]), batch_size=2)


def quiet(**arguments):
    return Trainer(devices=2, **{**QUIET, "max_epochs": 1, "num_sanity_val_steps": 0, **arguments})


def trained(folder):
    model = Net()
    loggers = [CSVLogger(folder), TensorBoardLogger(folder, name="boards"), TrackLogger(folder, name="tracked")]
    stops = EarlyStopping("val", patience=1, mode="min")
    trainer = quiet(max_epochs=9, logger=loggers, callbacks=[stops], enable_checkpointing=True, log_every_n_steps=1)
    trainer.fit(model, loader(), loader())
    writes = Writes(folder)
    quiet(callbacks=[writes]).predict(model, loader(), return_predictions=False)
    return {
        "told": model.told[:1],
        "stopped": trainer.current_epoch,
        "path": trainer.checkpoint_callback.best_model_path,
        "versions": [logger.version for logger in loggers],
        "run": loggers[2].run_id,
        "experiment": type(loggers[0].experiment).__name__,
        "ranks": (trainer.global_rank, trainer.local_rank, trainer.world_size, trainer.num_devices, trainer.num_nodes),
        "gathered": model.all_gather({"own": torch.tensor([float(trainer.global_rank)]), "more": [2, "as it is"]}),
        "uneven": gathers_uneven(model, trainer.global_rank) if trainer.strategy.root_device.type == "cpu" else None,
    }


def gathers_uneven(model, rank):
    try:
        return model.all_gather(torch.ones(2 + rank))
    except RanksDisagree as error:
        return str(error)


def test_ranks_do_together_what_is_done_once(tmp_path):
    """Data are prepared once, one run is logged, one file saved; what one rank's metric decides, all do."""
    one, two = on_ranks(trained, tmp_path)

    assert one["told"] == ["prepare_data"] and two["told"] == []
    assert one["stopped"] == two["stopped"] == 2
    assert one["path"] == two["path"] and os.path.isfile(one["path"])
    assert one["versions"] == two["versions"] == [0, 0, 0] and one["run"] == two["run"]
    assert (one["experiment"], two["experiment"]) == ("ExperimentWriter", "DummyExperiment")
    assert one["ranks"] == (0, 0, 2, 2, 1) and two["ranks"] == (1, 1, 2, 2, 1)
    for each in (one, two):
        assert each["gathered"]["own"].tolist() == [[0.0], [1.0]]
        assert each["gathered"]["more"][0].tolist() == [2, 2] and each["gathered"]["more"][1] == "as it is"
        # On a GPU, which would have to be waited for, nobody looks.
        assert each["uneven"] is None or "rank 0 [2] of float32, rank 1 [3] of float32" in each["uneven"]
    folder = tmp_path / "lightning_logs"
    assert [each.name for each in folder.iterdir()] == ["version_0"]
    with open(folder / "version_0" / "metrics.csv") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "1", "3", "3"]
    assert (tmp_path / "rank_0").read_text() == "[0, 1, 4, 5]"
    assert (tmp_path / "rank_1").read_text() == "[2, 3, 6, 7]"


def failed(folder, rank):
    saves = [ModelCheckpoint(dirpath=folder), OnExceptionCheckpoint(folder, "broken")]
    quiet(max_epochs=3, callbacks=saves, enable_checkpointing=True).fit(Net(fails_on=rank), loader())


@pytest.mark.parametrize("rank", [0, 1])
def test_one_rank_fails_and_all_know_why(tmp_path, rank):
    """Every rank names the first error; what was saved is there, and rank 0 saves once more, alone."""
    for _, problem in outcomes(failed, tmp_path, rank):
        assert problem is not None and f"ValueError: rank {rank} has enough" in problem

    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.ckpt", "epoch=0-step=2.ckpt"]
    assert Net.load_from_checkpoint(tmp_path / "broken.ckpt").fails_on == rank


class Heard(CSVLogger):
    """Is asked to stop the run, on rank 0 alone."""

    def on_stop_asked(self, stop):
        self.stop = stop


class Asks(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.is_global_zero and trainer.current_epoch == 1 and batch_idx == 0:
            trainer.logger.stop()
        # Time to hear of it.
        time.sleep(0.05)


def stopped(folder):
    trainer = quiet(max_epochs=50, logger=Heard(folder), callbacks=[Asks()])
    trainer.fit(Net(), loader())
    return trainer.global_step, trainer.state.status


def test_a_stop_that_rank_zero_hears_ends_all_after_the_same_batch(tmp_path):
    """Nobody waits for a rank that has ended already."""
    one, two = on_ranks(stopped, tmp_path)

    assert one == two
    assert 3 <= one[0] < 40 and one[1] == "finished"


class Differs(Net):
    """What it measures, how long it takes and when it wants to stop is another on each rank."""

    def on_train_batch_end(self, outputs, batch, batch_idx):
        time.sleep(0.02 * (1 + self.trainer.global_rank * (batch_idx % 3)))

    def validation_step(self, batch, batch_idx):
        self.log("val", 0.5 + self.trainer.global_rank - 0.01 * self.trainer.global_step)

    def on_validation_end(self):
        self.told.append(self.trainer.global_step)

    def on_train_epoch_end(self):
        self.trainer.should_stop = self.trainer.global_rank == 1 and self.trainer.current_epoch == 3

    def test_step(self, batch, batch_idx):
        pass


def decided(folder):
    # The folders are the machine's own: rank 1 has another one, which is empty.
    own = folder / os.environ["LOCAL_RANK"]
    saves = ModelCheckpoint(dirpath=folder / "best", monitor="val", filename="{step}-{val:.2f}")
    settings = {"max_epochs": 9, "num_sanity_val_steps": 0, "enable_checkpointing": True}
    trainer, model = quiet(callbacks=[saves], val_check_interval="00:00:00:01", **settings), Differs()
    rows = DataLoader(TensorDataset(torch.arange(80.0)[:, None]), batch_size=2)
    trainer.fit(model, rows, loader())
    trainer.test(model, loader(), ckpt_path="best", verbose=False)
    best = trainer.ckpt_path
    trainer.save_checkpoint(folder / "last.ckpt")
    own.mkdir(parents=True)
    if trainer.is_global_zero:
        os.link(folder / "last.ckpt", own / "last.ckpt")
    again = quiet(callbacks=[ModelCheckpoint(dirpath=own)], **{**settings, "max_epochs": 5})
    again.fit(Differs(), rows, ckpt_path="last")
    return trainer.global_step, [step for step in model.told if step != "prepare_data"], str(best), again.global_step


def test_ranks_that_see_different_things_do_the_same(tmp_path):
    """When a validation is due, when training is over, which file is the best and which the last, is agreed on."""
    one, two = on_ranks(decided, tmp_path)

    assert one == two
    assert (one[0], one[3]) == (80, 100)
    assert len(one[1]) > 1
    assert os.path.basename(one[2]).startswith("step=")


def told_alone():
    model = Net(fails_on=1)
    hears = Hears()
    try:
        quiet(callbacks=[hears], max_epochs=2).fit(model, loader())
    except Exception:
        return hears.heard


class Hears(Callback):
    heard = None

    def on_exception(self, trainer, pl_module, exception):
        gathered = trainer.strategy.all_gather(torch.tensor([trainer.global_rank]))
        self.heard = trainer.strategy.broadcast(f"rank {trainer.global_rank}"), gathered.tolist()


def test_a_rank_that_failed_hears_itself():
    """What it asks the others from then on, it answers by itself."""
    assert on_ranks(told_alone) == [("rank 0", [[0], [0]]), ("rank 1", [[1], [1]])]


class Steps(Net):
    def training_step(self, batch, batch_idx):
        self.log("rank", float(self.global_rank), sync_dist=True, on_step=True)
        return super().training_step(batch, batch_idx)


def begins_anew():
    found = []
    for _ in range(4):
        trainer = quiet()
        trainer.fit(Steps(), loader())
        found.append((trainer.global_step, float(trainer.callback_metrics["rank"])))
        torch.distributed.destroy_process_group()
    return found


def test_a_program_may_destroy_the_group_between_two_runs():
    """The next run makes a group of its own, and all that stands beside it."""
    for found in on_ranks(begins_anew):
        assert found == [(2, 0.5)] * 4
