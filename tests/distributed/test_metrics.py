"""What ``self.log`` amounts to over several ranks."""

import pytest
import torch
import torchmetrics
from torch.utils.data import DataLoader, TensorDataset

from fulgurite import LightningModule, Trainer
from fulgurite.testing import QUIET
from support.ranks import on_ranks, outcomes


class Logs(LightningModule):
    """Logs what its rows say, in every form."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Linear(1, 1)
        self.mean = torchmetrics.MeanMetric()

    def training_step(self, batch, batch_idx):
        x = batch[0]
        self.log("step", x.mean(), sync_dist=True, on_step=True, on_epoch=True)
        for word in ("mean", "sum", "min", "max"):
            self.log(word, x.mean(), sync_dist=True, on_step=False, on_epoch=True, reduce_fx=word)
        self.log("own", x.mean(), on_step=False, on_epoch=True)
        self.log("zero", x.mean(), rank_zero_only=True, on_step=False, on_epoch=True)
        self.mean.update(x)
        self.log("object", self.mean, on_step=False, on_epoch=True)
        return self.weight(x).mean()

    def on_train_epoch_end(self):
        self.log("edge", float(self.trainer.global_rank), sync_dist=True)
        self.log("edge_sum", float(self.trainer.global_rank), sync_dist=True, reduce_fx="sum")

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("val", batch[0].mean(), sync_dist=True)
        self.log("val_steps", batch[0].mean(), sync_dist=True, on_step=True, on_epoch=True)

    def test_step(self, batch, batch_idx):
        self.log("test", batch[0].mean(), sync_dist=True)
        self.mean.update(batch[0])
        self.log("test_object", self.mean)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def loader(rows, size=2):
    return DataLoader(TensorDataset(torch.arange(float(rows))[:, None]), batch_size=size)


def quiet(**arguments):
    return Trainer(devices=2, **{**QUIET, "max_epochs": 1, "num_sanity_val_steps": 0, **arguments})


def values(trainer):
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def logged():
    model, trainer = Logs(), quiet()
    trainer.fit(model, loader(8), [loader(5), loader(1)])
    fitted = values(trainer)
    return fitted, trainer.test(model, loader(2, 2), verbose=False), values(trainer)


NAMES = ("d_loss", "grad_f1", "high")


class Branches(LightningModule):
    """Logs one of several names, which of them each rank decides for itself from the third batch on."""

    def __init__(self, reduce_fx):
        super().__init__()
        self.weight, self.reduce_fx = torch.nn.Linear(1, 1), reduce_fx

    def training_step(self, batch, batch_idx):
        for name in NAMES if batch_idx < 2 else [NAMES[self.global_rank]]:
            self.log(name, batch[0].mean(), sync_dist=True, on_step=True, reduce_fx=self.reduce_fx)
        return self.weight(batch[0]).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def branches(reduce_fx, ranks):
    trainer = Trainer(devices=ranks, **{**QUIET, "max_epochs": 1})
    try:
        trainer.fit(Branches(reduce_fx), loader(24))
    finally:
        # In the second batch each rank had two rows, which follow on those of the one before.
        means = [2 * (ranks + rank) + 0.5 for rank in range(ranks)]
        expected = {"mean": sum(means) / ranks, "sum": sum(means), "min": means[0], "max": means[-1]}[reduce_fx]
        found = {name: float(trainer.callback_metrics[name]) for name in NAMES}
        assert trainer.global_step == 2 and found == dict.fromkeys(NAMES, expected), found


@pytest.mark.cpu
@pytest.mark.parametrize(("reduce_fx", "ranks"), [("mean", 2), ("max", 2), ("sum", 3), ("min", 3)])
def test_values_of_a_step_with_other_names_are_told(reduce_fx, ranks):
    """They are of one size and kind, and would be taken for one another."""
    for rank, (_, problem) in enumerate(outcomes(branches, reduce_fx, ranks, ranks=ranks)):
        assert "RanksDisagree: The ranks came to different meetings" in problem, (rank, problem)
        for other in range(ranks):
            assert f'rank {other} to "self.log({NAMES[other]!r}, on_step=True, sync_dist=True)"' in problem


def test_values_of_all_ranks_come_together():
    """Weighted means, sums, least and greatest, objects, edges; rank 1 of a test with one batch knows its value too."""
    (one, tested, seen), (two, _, also) = on_ranks(logged)

    own = ("own", "zero", "val_steps_step/dataloader_idx_0", "val_steps_step/dataloader_idx_1")
    alike = {name: value for name, value in one.items() if name not in own}
    assert alike == {name: value for name, value in two.items() if name not in own}
    assert one["val_steps_epoch/dataloader_idx_0"] == 2.0, "steps of unlike numbers of batches meet at the end"
    assert one["mean"] == one["step_epoch"] == one["object"] == 3.5
    assert (one["sum"], one["min"], one["max"]) == (14.0, 0.5, 6.5)
    assert one["step_step"] == (4.5 + 6.5) / 2
    assert (one["own"], two["own"]) == (2.5, 4.5)
    assert one["zero"] == 2.5 and "zero" not in two
    assert (one["edge"], one["edge_sum"]) == (0.5, 1.0)
    assert one["val/dataloader_idx_0"] == 2.0, "the last, smaller batch weighs less"
    assert one["val/dataloader_idx_1"] == two["val/dataloader_idx_1"] == 0.0
    assert tested == [{"test": 0.5, "test_object": 0.5}]
    assert seen == also


class LogsOther(Logs):
    def validation_step(self, batch, batch_idx):
        self.log("val", 1.0, sync_dist=True)
        if self.trainer.global_rank == 1:
            self.log("extra", 1.0, sync_dist=True)


class LogsAtEdge(Logs):
    def on_train_epoch_end(self):
        if self.trainer.is_global_zero:
            self.log("edge", 1.0, sync_dist=True)


def logs_other_names():
    quiet().validate(LogsOther(), loader(8), verbose=False)


def logs_on_rank_zero_only():
    quiet().fit(LogsAtEdge(), loader(8))


def test_names_that_differ_are_an_error_and_no_hang():
    """Each rank says which rank logged what, and where."""
    for _, problem in outcomes(logs_other_names):
        assert problem is not None and "RanksDisagree" in problem
        assert "self.log('extra', ..., sync_dist=True) was called in `validation_step` on rank 1" in problem
        assert "but not on rank 0" in problem


def test_a_value_of_an_edge_that_one_rank_logs_is_an_error_and_no_hang():
    """The other rank is at another meeting by then."""
    for _, problem in outcomes(logs_on_rank_zero_only):
        assert problem is not None and "RanksDisagree" in problem
        assert "rank 0 to \"self.log('edge', sync_dist=True)\"" in problem
        assert "is_global_zero" in problem


class Ranks(Logs):
    """Logs an object that gathers lists."""

    def __init__(self):
        super().__init__()
        self.curve = torchmetrics.AUROC(task="binary")

    def test_step(self, batch, batch_idx):
        self.curve.update(batch[0].flatten() / 2, torch.tensor([0, 1], device=self.device))
        self.log("curve", self.curve)


def gathers_lists():
    trainer = quiet()
    return trainer.test(Ranks(), loader(2), verbose=False)


def test_a_rank_without_a_batch_takes_part_in_lists():
    """Rank 1 has nothing to test, and the object that was logged on rank 0 asks it for its rows."""
    assert on_ranks(gathers_lists) == [[{"curve": 1.0}]] * 2
