"""LearningRateMonitor: which rows, under which keys."""

import pytest
import torch
from torch.optim.lr_scheduler import StepLR

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import LearningRateMonitor
from fulgurite.core.logger import DummyLogger
from support.counted import Counted, fit


class Rows(DummyLogger):
    """Keeps the rows that have a learning rate."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def log_metrics(self, metrics, step=None):
        if "train" not in metrics and "val" not in metrics:
            self.kept.append((step, {key: pytest.approx(value) for key, value in metrics.items()}))


class Scheduled(Counted):
    """Configures its optimizers as told."""

    def __init__(self, configure):
        super().__init__()
        self.configure = configure

    def configure_optimizers(self):
        return self.configure(self)


class Two(Scheduled):
    """Several optimizers, stepped by hand."""

    automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            optimizer.step()


def rows(folder, configure, kind=Scheduled, arguments=None, **options):
    """The rows written in two epochs of five steps, the callback and the trainer."""
    logger, callback = Rows(), LearningRateMonitor(**options)
    settings = {"log_every_n_steps": 2, **(arguments or {})}
    trainer = fit(folder, callback, model=kind(configure), logger=logger, enable_checkpointing=False, **settings)
    return logger.kept, callback, trainer


def halved(interval="epoch", **config):
    """SGD whose rate is halved each time."""

    def configure(module):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        return [optimizer], [{"scheduler": StepLR(optimizer, 1, 0.5), "interval": interval, **config}]

    return configure


def plain(module):
    return torch.optim.SGD(module.parameters(), lr=0.1)


# Steps and rates as Lightning 2.6 writes them.
ROWS = [
    (halved(), {}, [(0, 0.1), (5, 0.05)]),
    (halved("step"), {}, [(1, 0.05), (3, 0.0125), (5, 0.003125), (7, 0.00078125), (9, 0.0001953125)]),
    (halved(), {"logging_interval": "step"}, [(1, 0.1), (3, 0.1), (5, 0.05), (7, 0.05), (9, 0.05)]),
    (halved("step"), {"logging_interval": "epoch"}, [(0, 0.1), (5, 0.003125)]),
    (plain, {}, [(step, 0.1) for step in (0, 1, 3, 5, 5, 7, 9)]),
    (plain, {"logging_interval": "epoch"}, [(0, 0.1), (5, 0.1)]),
]


@pytest.mark.parametrize(("configure", "options", "expected"), ROWS)
def test_rows(tmp_path, configure, options, expected):
    """Epoch rows at each epoch's start, step rows with the rows of ``log_every_n_steps``; all can be monitored."""
    kept, callback, trainer = rows(tmp_path, configure, **options)

    assert kept == [(step, {"lr-SGD": rate}) for step, rate in expected]
    assert callback.lrs == {"lr-SGD": pytest.approx([rate for _, rate in expected])}
    assert trainer.callback_metrics["lr-SGD"].item() == pytest.approx(expected[-1][1])


@pytest.mark.parametrize("every", [0, 50])
def test_step_rows_keep_to_log_every_n_steps(tmp_path, every):
    """No row is due: none is written."""
    assert rows(tmp_path, halved("step"), arguments={"log_every_n_steps": every})[0] == []


def test_momentum_and_weight_decay(tmp_path):
    """They stand beside the rate, under its key."""
    kept, callback, _ = rows(tmp_path, halved(name="mine"), log_momentum=True, log_weight_decay=True)

    assert kept[0] == (0, {"mine": 0.1, "mine-momentum": 0.9, "mine-weight_decay": 0.01})
    assert callback.last_momentum_values == {"mine-momentum": 0.9}
    assert callback.last_weight_decay_values == {"mine-weight_decay": 0.01}


def test_an_optimizer_without_momentum(tmp_path):
    """0 is logged, after one warning."""
    with pytest.warns(RuntimeWarning, match="no momentum"):
        kept = rows(tmp_path, lambda module: torch.optim.Adagrad(module.parameters(), lr=0.1), log_momentum=True)[0]

    assert kept[0] == (0, {"lr-Adagrad": 0.1, "lr-Adagrad-momentum": 0.0})


def grouped(*names):
    def configure(module):
        groups = [{"params": [parameter]} for parameter in module.parameters()]
        for group, name in zip(groups, names, strict=True):
            group.update({"name": name} if name else {})
        return torch.optim.Adam(groups, lr=0.1)

    return configure


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        ((None, None), ["lr-Adam/pg1", "lr-Adam/pg2"]),
        (("w", "b"), ["lr-Adam/w", "lr-Adam/b"]),
        (("w", None), ["lr-Adam/w", "lr-Adam/pg2"]),
    ],
)
def test_parameter_groups(tmp_path, names, keys):
    """Each group has its key, by its name or its number."""
    assert [*rows(tmp_path, grouped(*names))[1].lrs] == keys


def test_two_groups_of_one_name(tmp_path):
    """They could not be told apart."""
    with pytest.raises(MisconfigurationException, match="lr-Adam.*'w'"):
        rows(tmp_path, grouped("w", "w"))


def test_a_group_that_is_added_on_the_way(tmp_path):
    """Then the first of them has another key; what was kept of it so far moves there."""

    class Adding(Counted):
        def on_train_epoch_start(self):
            if self.current_epoch == 1:
                group = {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.5}
                self.trainer.optimizers[0].add_param_group(group)

    monitor, logger = LearningRateMonitor("step"), Rows()
    fit(tmp_path, monitor, model=Adding(), logger=logger, enable_checkpointing=False, log_every_n_steps=5)

    assert monitor.lrs == {"lr-SGD/pg1": [0.01, 0.01], "lr-SGD/pg2": [0.5]}
    assert [row for _, row in logger.kept] == [{"lr-SGD": 0.01}, {"lr-SGD/pg1": 0.01, "lr-SGD/pg2": 0.5}]


def test_several_optimizers(tmp_path):
    """The second of a class gets a number, named or scheduled or not."""

    def configure(module):
        one, two, three = (plain(module) for _ in range(3))
        return [one, two, three], [StepLR(two, 1), {"scheduler": StepLR(three, 1), "name": "named"}]

    kept = rows(tmp_path, configure, kind=Two, logging_interval="epoch")[0]

    assert [*kept[0][1]] == ["lr-SGD", "named", "lr-SGD-1"]


def test_a_logger_is_needed(tmp_path):
    """Without one the callback would be silent; it says so instead."""
    with pytest.raises(MisconfigurationException, match="needs a logger"):
        fit(tmp_path, LearningRateMonitor(), logger=False)


def test_intervals():
    """Step, epoch or neither."""
    with pytest.raises(MisconfigurationException, match="logging_interval='hour'"):
        LearningRateMonitor(logging_interval="hour")
