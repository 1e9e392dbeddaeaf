"""A run that goes on from any of its checkpoints ends as the run that never stopped: to the last bit.

Each case trains once to its end and keeps a checkpoint after every batch, validation and epoch. Then new objects, in a
process whose random numbers stand elsewhere, go on from each file, and everything is compared.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, WeightedRandomSampler

from fulgurite import Callback, LightningDataModule, LightningModule, Trainer
from fulgurite.base.seed import collect_rng_states
from fulgurite.callbacks import (
    Checkpoint,
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    ModelPruning,
    NonFiniteGuard,
    StochasticWeightAveraging,
)
from fulgurite.core.logger import Logger
from fulgurite.runtime.combined import CombinedLoader
from fulgurite.utilities import SeededSamples


class Noisy(Dataset):
    """Samples that every library's random numbers change a little: augmentation in the main process."""

    def __init__(self, length: int = 12, noise: bool = True) -> None:
        self.data = torch.linspace(-1, 1, length * 3).reshape(length, 3)
        self.noise = noise

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> torch.Tensor:
        drawn = torch.randn(3) + random.random() + np.random.rand() if self.noise else 0
        return self.data[index] + 0.1 * drawn


class Stream(IterableDataset):
    """The same without a length."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (torch.randn(3) + random.random() for _ in range(14))


class Listed:
    """A loader that is no DataLoader."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (torch.randn(2, 3) for _ in range(4))

    def __len__(self) -> int:
        return 4


class Unsized:
    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(Listed())


class Rows(Logger):
    """Keeps the rows in memory."""

    def __init__(self) -> None:
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    name = version = property(lambda self: "rows")  # type: ignore[assignment]

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, metrics))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None: ...


class Model(LightningModule):
    """Dropout and noise in the step, batch norm, logged means and step values, a module hook that keeps a sum."""

    def __init__(self, scheduler: str = "", optimizer: type = torch.optim.Adam) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 1))
        self.register_buffer("seen", torch.zeros(()))
        self.scheduler, self.optimizer = scheduler, optimizer

    def loss(self, batch: Any) -> torch.Tensor:
        parts = [part for part in (batch if isinstance(batch, list | tuple) else [batch]) if part is not None]
        noise = [torch.randn(1, device=self.device) for _ in parts]
        losses = [(self.net(part) - drawn).square().mean() for part, drawn in zip(parts, noise, strict=True)]
        return torch.stack(losses).mean()

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = self.loss(batch)
        self.log("loss", loss, on_step=True, on_epoch=True)
        self.log("largest", loss.detach(), on_step=False, on_epoch=True, reduce_fx=torch.max)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seen += outputs["loss"] if outputs else 1
        self.log("seen", self.seen)

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val", self.loss(batch), on_step=True, on_epoch=True)

    def on_validation_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.seen += torch.rand(())

    def on_train_epoch_start(self) -> None:
        self.log("started", torch.rand(()))

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters(), lr=0.05)
        if self.scheduler == "plateau":
            return {
                "optimizer": optimizer,
                "lr_scheduler": {
                    "scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5),
                    "monitor": "val",
                },
            }
        if self.scheduler == "plateau_step":
            return {
                "optimizer": optimizer,
                "lr_scheduler": {
                    "scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0),
                    "monitor": "loss",
                    "interval": "step",
                },
            }
        if self.scheduler:
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.7)
            return [optimizer], [{"scheduler": scheduler, "interval": self.scheduler}]
        return optimizer


class ByHand(Model):
    """Two optimizers that take turns; the gradients of the second gather over two batches."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        first, second = self.optimizers()
        first.zero_grad()
        self.manual_backward(self.loss(batch))
        first.step()
        if batch_idx % 2 == 1:
            second.step()
            second.zero_grad()
        self.log("loss", self.loss(batch), on_step=True, on_epoch=True)

    def configure_optimizers(self) -> Any:
        return [
            torch.optim.SGD(self.net[:2].parameters(), lr=0.05),
            torch.optim.SGD(self.net[2:].parameters(), lr=0.05),
        ]


class Plain(Model):
    on_train_epoch_start = LightningModule.on_train_epoch_start


class Measured(Model):
    """torchmetrics objects: one logged in the step, one only updated there and logged at the epoch's end, and two in a
    collection."""

    def __init__(self) -> None:
        super().__init__()
        torchmetrics = pytest.importorskip("torchmetrics")
        self.mean, self.late = torchmetrics.MeanMetric(), torchmetrics.CatMetric()
        self.both = torchmetrics.MetricCollection([torchmetrics.MaxMetric(), torchmetrics.MinMetric()])

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        self.mean(loss.detach())
        self.late.update(loss.detach())
        self.both.update(loss.detach())
        self.log("mean", self.mean, on_step=True, on_epoch=True)
        self.log_dict(self.both, on_step=False, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("late", self.late.compute().std())
        self.late.reset()


class SeveralValidations(Model):
    def validation_step(self, batch: torch.Tensor, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("val", self.loss(batch), on_step=True, on_epoch=True)


class Changing(LightningDataModule):
    """Its data are drawn anew at each reload; it counts, and keeps the count."""

    def __init__(self, reloads: bool) -> None:
        super().__init__()
        self.count, self.reloads = 0, reloads

    def train_dataloader(self) -> DataLoader:
        data = torch.randn(12, 3)
        self.count += 1
        return DataLoader(data + self.count * self.reloads, batch_size=3, shuffle=True)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader:
        return DataLoader(torch.randn(5, 3), batch_size=2)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        # The first loaders of the run that goes on are fetched once more.
        return {"count": self.count - 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.count = state_dict["count"]


class Linear(Model):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 1))


class Diverging(Model):
    """The loss of the first batch of a window is infinite."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = super().training_step(batch, batch_idx)
        return loss / 0 if batch_idx == 2 else loss


class Stateful:
    """A loader that knows where it is, as torchdata's does; its order is drawn by a generator of its own."""

    def __init__(self, sized: bool = True) -> None:
        self.epoch = self.position = 0
        self.resumed = False
        if sized:
            self.__class__ = SizedStateful

    def __iter__(self) -> Iterator[torch.Tensor]:
        if not self.resumed:
            self.position, self.epoch = 0, self.epoch + 1
        self.resumed = False
        order = torch.randperm(4, generator=torch.Generator().manual_seed(self.epoch)).tolist()
        while self.position < 4:
            self.position += 1
            yield torch.full((3, 3), float(order[self.position - 1])) + torch.randn(3, 3)

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.position, self.resumed = state["epoch"], state["position"], True


class SizedStateful(Stateful):
    def __len__(self) -> int:
        return 4


class Everywhere(Checkpoint):
    """Saves after each batch, validation and epoch; remembers how many rows were written by then."""

    def __init__(self, folder: Any) -> None:
        self.folder_, self.saved = folder, {}
        if folder is not None:
            folder.mkdir(exist_ok=True)

    def save(self, trainer: Trainer, place: str) -> None:
        if trainer.sanity_checking or self.folder_ is None or trainer.state.fn != "fit":
            return
        path = self.folder_ / f"{len(self.saved):03}-{place}.ckpt"
        trainer.save_checkpoint(path)
        self.saved[path] = len(trainer.logger.rows)

    def on_train_epoch_start(self, trainer, pl_module):
        if type(pl_module) is Plain:
            self.save(trainer, f"epoch{trainer.current_epoch}-start")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.save(trainer, f"epoch{trainer.current_epoch}-batch{batch_idx}")

    def on_validation_end(self, trainer, pl_module):
        self.save(trainer, f"epoch{trainer.current_epoch}-validated")

    def on_train_epoch_end(self, trainer, pl_module):
        self.save(trainer, f"epoch{trainer.current_epoch}-end")


@dataclass
class Case:
    """What a training is made of; everything is made anew for each run."""

    train: Callable[[], Any] = lambda: DataLoader(Noisy(), batch_size=3, shuffle=True)
    val: Callable[[], Any] = lambda: DataLoader(Noisy(5), batch_size=2)
    model: Callable[[], LightningModule] = Model
    trainer: dict[str, Any] = field(default_factory=dict)
    callbacks: Callable[[], list[Callback]] = list
    datamodule: Callable[[], LightningDataModule] | None = None

    def run(self, folder: Any, path: Any = None) -> "Outcome":
        torch.manual_seed(0)
        model = self.model()
        seed = 1 if path is None else 99  # the process that goes on has drawn other numbers
        torch.manual_seed(seed), random.seed(seed), np.random.seed(seed)
        rows, everywhere, others = Rows(), Everywhere(folder if path is None else None), self.callbacks()
        defaults = {"max_epochs": 3, "log_every_n_steps": 1, "num_sanity_val_steps": 2, "accelerator": "cpu"}
        trainer = Trainer(
            **{**defaults, **self.trainer},
            logger=rows,
            callbacks=[*others, everywhere],
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        if self.datamodule is not None:
            trainer.fit(model, datamodule=self.datamodule(), ckpt_path=path)
        else:
            trainer.fit(model, self.train(), self.val(), ckpt_path=path)
        state = {
            "weights": model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
            "schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
            "callbacks": [callback.state_dict() for callback in others],
            "random": collect_rng_states(),
            "metrics": trainer.callback_metrics,
            "step": [trainer.global_step, trainer.current_epoch, trainer.should_stop],
        }
        return Outcome(state, rows.rows, everywhere.saved)


@dataclass
class Outcome:
    state: dict[str, Any]
    rows: list[Any]
    saved: dict[Any, int]


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def check(case: Case, folder: Any, at: Callable[[str], bool] = lambda name: True) -> None:
    whole = case.run(folder)
    assert len(whole.saved) > 5
    for path, rows in whole.saved.items():
        if not at(path.name):
            continue
        again = case.run(folder, path)
        for name, value in whole.state.items():
            assert equal(again.state[name], value), f"{name} differ after going on from {path.name}"
        assert again.rows == whole.rows[rows:], f"other rows after going on from {path.name}"


def loader(length: int = 12, size: int = 3, **options: Any) -> DataLoader:
    return DataLoader(Noisy(length), batch_size=size, shuffle=True, **options)


def in_workers(length: int = 12, **options: Any) -> DataLoader:
    options = {"num_workers": 2, "shuffle": True, **options}
    return DataLoader(Noisy(length, noise=False), batch_size=3, **options)


def combined(mode: str) -> Callable[[], CombinedLoader]:
    return lambda: CombinedLoader([loader(12), loader(8), loader(5, generator=torch.Generator())], mode)


def limited(made: CombinedLoader, limits: list[int]) -> CombinedLoader:
    made.limits = limits
    return made


CASES = {
    "plain": Case(),
    "saved at the start of an epoch": Case(model=Plain),
    "saved at the start, without length": Case(lambda: DataLoader(Stream(), batch_size=7), model=Plain),
    "saved at the start, one batch": Case(lambda: [loader(3), loader(3)], model=Plain, trainer={"max_epochs": 4}),
    "generator of its own": Case(lambda: loader(generator=torch.Generator().manual_seed(3))),
    "sampler with a generator": Case(
        lambda: DataLoader(
            Noisy(), batch_size=3, sampler=RandomSampler(range(12), generator=torch.Generator().manual_seed(3))
        )
    ),
    "with replacement": Case(
        lambda: DataLoader(Noisy(), batch_size=3, sampler=RandomSampler(range(12), replacement=True, num_samples=39)),
        trainer={"max_epochs": 2},
    ),
    "weighted": Case(lambda: DataLoader(Noisy(), batch_size=3, sampler=WeightedRandomSampler([1.0] * 12, 12))),
    "batch sampler": Case(
        lambda: DataLoader(Noisy(), batch_sampler=BatchSampler(RandomSampler(range(12)), 3, drop_last=True))
    ),
    "no batches": Case(
        lambda: DataLoader(Noisy().data.reshape(4, 3, 3), batch_size=None, sampler=RandomSampler(range(4)))
    ),
    "uneven": Case(lambda: loader(14, 4)),
    "own loader": Case(Listed),
    "own loader without length": Case(Unsized),
    "stream": Case(lambda: DataLoader(Stream(), batch_size=3)),
    "stream mid-epoch validation": Case(
        lambda: DataLoader(Stream(), batch_size=4), trainer={"val_check_interval": 2, "max_epochs": 2}
    ),
    "accumulation": Case(lambda: loader(15, 3), trainer={"accumulate_grad_batches": 2}),
    "accumulation exact": Case(
        lambda: loader(15, 3), trainer={"accumulate_grad_batches": 3, "exact_accumulation": True}
    ),
    "mid-epoch validation": Case(trainer={"val_check_interval": 2}),
    "validation every batch": Case(trainer={"val_check_interval": 1, "max_epochs": 2}),
    "validation across epochs": Case(trainer={"val_check_interval": 3, "check_val_every_n_epoch": None}),
    "validation every second epoch": Case(trainer={"check_val_every_n_epoch": 2}),
    "validation shuffled": Case(val=lambda: loader(6)),
    "no validation": Case(val=lambda: None),
    "several validations": Case(val=lambda: [loader(6), loader(4)], model=SeveralValidations),
    "torchmetrics": Case(model=Measured),
    "torchmetrics mid-epoch": Case(model=Measured, trainer={"val_check_interval": 2, "log_every_n_steps": 2}),
    "data module": Case(datamodule=lambda: Changing(reloads=False)),
    "reload every epoch": Case(
        datamodule=lambda: Changing(reloads=True), trainer={"reload_dataloaders_every_n_epochs": 1}
    ),
    "reload every second epoch": Case(
        datamodule=lambda: Changing(reloads=True), trainer={"reload_dataloaders_every_n_epochs": 2, "max_epochs": 5}
    ),
    "stateful loader": Case(Stateful),
    "stateful loader without length": Case(lambda: Stateful(sized=False)),
    "limits of a combined loader": Case(lambda: limited(combined("max_size_cycle")(), [3, 2, 1])),
    "rows every third step": Case(trainer={"log_every_n_steps": 3}),
    "scheduler per step": Case(model=lambda: Model("step")),
    "scheduler per epoch": Case(model=lambda: Model("epoch")),
    "plateau": Case(model=lambda: Model("plateau"), trainer={"max_epochs": 4}),
    "plateau per step": Case(model=lambda: Model("plateau_step")),
    "lbfgs": Case(model=lambda: Model(optimizer=torch.optim.LBFGS)),
    "bf16": Case(trainer={"precision": "bf16-mixed"}),
    "16 bits with a scaler": Case(trainer={"precision": "16-mixed"}),
    "64 bits": Case(trainer={"precision": "64-true"}),
    "clipping": Case(trainer={"gradient_clip_val": 0.1}),
    "by hand": Case(model=ByHand),
    "max_steps": Case(trainer={"max_steps": 7}),
    "limited": Case(trainer={"limit_train_batches": 3, "limit_val_batches": 1}),
    "early stopping": Case(
        trainer={"max_epochs": 8}, callbacks=lambda: [EarlyStopping("val", patience=1, min_delta=10.0)]
    ),
    "early stopping mid-epoch": Case(
        trainer={"max_epochs": 8, "val_check_interval": 2},
        callbacks=lambda: [EarlyStopping("val", patience=3, min_delta=10.0)],
    ),
    "min_size": Case(combined("min_size")),
    "max_size": Case(combined("max_size")),
    "max_size_cycle": Case(combined("max_size_cycle"), trainer={"max_epochs": 2}),
    "dict of loaders": Case(lambda: [loader(12), loader(5)], trainer={"max_epochs": 2}),
    "moving average of the weights": Case(callbacks=lambda: [EMAWeightAveraging(decay=0.9, update_every_n_steps=2)]),
    "average of the last epochs": Case(
        callbacks=lambda: [StochasticWeightAveraging(0.05, swa_epoch_start=1, annealing_epochs=2)],
        trainer={"max_epochs": 4},
    ),
    "accumulation by a schedule": Case(
        lambda: loader(15, 3), callbacks=lambda: [GradientAccumulationScheduler({0: 1, 1: 2, 2: 3})]
    ),
    "pruning": Case(
        callbacks=lambda: [ModelPruning("random_unstructured", parameter_names=["weight"], amount=0.2)],
        model=lambda: Linear(),
    ),
    "pruning mid-epoch, with new draws": Case(
        callbacks=lambda: [
            ModelPruning(
                "l1_unstructured",
                parameter_names=["weight"],
                amount=0.2,
                resample_parameters=True,
                prune_on_train_epoch_end=False,
            )
        ],
        model=lambda: Linear(),
        trainer={"val_check_interval": 2},
    ),
    "guard that skips": Case(callbacks=lambda: [NonFiniteGuard("skip")]),
    "guard that skips a window": Case(
        model=lambda: Diverging(),
        callbacks=lambda: [NonFiniteGuard("skip", check_gradients=False)],
        trainer={"accumulate_grad_batches": 2, "max_epochs": 2},
    ),
    "overfit": Case(trainer={"overfit_batches": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_it_ends_as_if_it_had_never_stopped(tmp_path, name):
    check(CASES[name], tmp_path)


WORKERS = {
    "two workers": Case(in_workers),
    "persistent workers": Case(
        lambda: in_workers(persistent_workers=True),
        val=lambda: DataLoader(
            Noisy(5, noise=False), batch_size=2, num_workers=1, persistent_workers=True, shuffle=True
        ),
    ),
    "persistent workers with a generator": Case(
        lambda: in_workers(persistent_workers=True, generator=torch.Generator().manual_seed(3))
    ),
    "worker sampler with a generator": Case(lambda: in_workers(generator=torch.Generator().manual_seed(3))),
    "stream": Case(lambda: DataLoader(Stream(), batch_size=3, num_workers=1)),
    "augmentation, seeded for each sample": Case(
        lambda: DataLoader(SeededSamples(Noisy()), batch_size=3, shuffle=True, num_workers=2, persistent_workers=True)
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", WORKERS)
def test_so_it_does_with_workers(tmp_path, name):
    check(WORKERS[name], tmp_path)


def test_a_metric_that_the_module_has_no_more_is_passed_over(tmp_path):
    """And one that is new begins anew."""
    measured, plain = Case(model=Measured), Case()
    with_metrics = next(path for path in measured.run(tmp_path / "a").saved if "epoch1-batch1" in path.name)
    without = next(path for path in plain.run(tmp_path / "b").saved if "epoch1-batch1" in path.name)

    for case, path in ((plain, with_metrics), (measured, without)):
        assert case.run(path.parent, path).state["step"][:2] == [12, 3]
