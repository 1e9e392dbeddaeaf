"""Searches before training: the learning rates and losses of lr_find, the sizes that scale_batch_size tries."""

import contextlib
import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from parity.scenarios.errors import group
from parity.scenarios.kit import Bench, Rows, Scenarios, batches, plain

SCENARIOS = Scenarios()
MEMORY = 20
"""Rows that fit into the memory that these scenarios pretend to have."""


def tuner(pl, trainer: Any) -> Any:
    return importlib.import_module(f"{pl.__name__}.tuner").Tuner(trainer)


def searched(pl, bench: Bench, base: type | None = None, optimizer: Callable | None = None) -> type:
    """Return a module class with a rate and a batch size to be found; it notes each batch it trains on."""

    class Searched(base or bench.Tiny):
        seen: list[list] = []  # the class's, as an object may forget what happened in a search

        def __init__(self, lr: float = 0.02, batch_size: int = 2) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.lr, self.batch_size = lr, batch_size

        def training_step(self, batch, batch_idx):
            rates = [group["lr"] for group in self.trainer.optimizers[0].param_groups]
            self.seen.append([len(batch[0]), self.trainer.global_step, rates])
            if len(batch[0]) > MEMORY:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
            return (self(batch[0]) - 3).square().mean()

        def configure_optimizers(self):
            if optimizer is not None:
                return optimizer(self)
            chosen = torch.optim.SGD(self.parameters(), lr=self.lr)
            return [chosen], [torch.optim.lr_scheduler.StepLR(chosen, 1, 0.5)]

        def train_dataloader(self):
            return DataLoader(Rows(40), batch_size=self.batch_size)

        def val_dataloader(self):
            return DataLoader(Rows(40), batch_size=self.batch_size)

    return Searched


def adam_of_two_groups(module: Any) -> Any:
    groups = [{"params": [module.net.weight]}, {"params": [module.net.bias], "lr": 0.1}]
    return torch.optim.Adam(groups, lr=0.2)


def rate(pl, folder, *, trainer=None, optimizer=None, **options) -> dict[str, Any]:
    """Search for a learning rate; return what was tried, what came of it, and what the module is like afterwards."""
    bench = Bench(pl, folder)
    module = searched(pl, bench, optimizer=optimizer)()
    running = bench.trainer(**(trainer or {}))
    found = tuner(pl, running).lr_find(module, **{"min_lr": 1e-3, "max_lr": 1.0, "num_training": 12, **options})
    return {
        "seen": module.seen,
        "results": found.results,
        "suggestions": [found.suggestion(), found.suggestion(2, 1), found.suggestion(1, 3)],
        "settings": [found.mode, found.lr_min, found.lr_max, found.num_training],
        **left_by(bench, running, module),
    }


def left_by(bench: Bench, trainer: Any, module: Any) -> dict[str, Any]:
    return {
        "lr": module.lr,
        "hparams": dict(module.hparams),
        "batch_size": module.batch_size,
        "rows": bench.logger.rows,
        "clock": [trainer.current_epoch, trainer.global_step, trainer.should_stop],
        "files": sorted(str(path.relative_to(bench.folder)) for path in bench.folder.rglob("*")),
        "weights": [plain(parameter.detach().flatten()) for parameter in module.parameters()],
    }


for _name, _options in {
    "exponential": {},
    "linear": {"mode": "linear"},
    "diverging": {"max_lr": 100.0, "early_stop_threshold": 2.0},
    "never_stopping": {"max_lr": 100.0, "early_stop_threshold": None},
    "longer_than_an_epoch": {"num_training": 30, "max_lr": 0.5, "trainer": {"max_epochs": 3}},
    "two_groups": {"optimizer": adam_of_two_groups},
    "accumulating": {"trainer": {"accumulate_grad_batches": 2, "max_epochs": 3}},
    "limited": {"trainer": {"limit_train_batches": 4, "max_epochs": 9}},
    "longer_than_the_training": {"trainer": {"limit_train_batches": 4, "max_epochs": 1}},
    "without_update": {"update_attr": False},
    "another_attribute": {"attr_name": "batch_size", "num_training": 20},
}.items():
    SCENARIOS[f"rate_{_name}"] = partial(rate, **_options)


@SCENARIOS
def rate_then_fit(pl, folder):
    """A fit after the search takes the rate that was found."""
    bench = Bench(pl, folder)
    module = searched(pl, bench)()
    trainer = bench.trainer(max_epochs=2)
    found = tuner(pl, trainer).lr_find(module, min_lr=1e-3, num_training=20)
    module.seen.clear()
    trainer.fit(module)
    return {"suggestion": found.suggestion(), "seen": module.seen, **left_by(bench, trainer, module)}


@SCENARIOS
def rate_in_a_fit(pl, folder):
    """LearningRateFinder searches before the first epoch, then the fit runs as if it had begun so."""
    bench = Bench(pl, folder)
    module = searched(pl, bench)()
    finder = pl.callbacks.LearningRateFinder(min_lr=1e-3, num_training_steps=20)
    trainer = bench.trainer(max_epochs=2, callbacks=[finder])
    trainer.fit(module)
    found = finder.optimal_lr
    return {
        "results": found.results, "suggestion": found.suggestion(), "seen": module.seen, "key": finder.state_key,
        **left_by(bench, trainer, module),
    }  # fmt: skip


@SCENARIOS
def rate_at_milestones(pl, folder):
    """The pattern of Lightning's documents: search again when certain epochs begin."""
    bench = Bench(pl, folder)

    class AtMilestones(pl.callbacks.LearningRateFinder):
        def __init__(self, milestones, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.milestones = milestones

        def on_fit_start(self, *args, **kwargs):
            return

        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch in self.milestones or trainer.current_epoch == 0:
                self.lr_find(trainer, pl_module)

    module = searched(pl, bench)()
    trainer = bench.trainer(max_epochs=3, callbacks=[AtMilestones((2,), min_lr=1e-3, num_training_steps=20)])
    trainer.fit(module)
    return {"seen": module.seen, **left_by(bench, trainer, module)}


def size(pl, folder, *, trainer=None, memory=True, start=2, **options) -> dict[str, Any]:
    """Search for a batch size; return what was tried and what is left."""
    bench = Bench(pl, folder)
    module = searched(pl, bench)(batch_size=start)
    running = bench.trainer(**(trainer or {}))
    found = tuner(pl, running).scale_batch_size(module, **options)
    return {"found": found, "seen": [seen[0] for seen in module.seen], **left_by(bench, running, module)}


for _name, _options in {
    "power": {},
    "power_few_trials": {"max_trials": 2},
    "power_one_step": {"steps_per_trial": 1},
    "power_from_32": {"init_val": 32},
    "power_from_7": {"init_val": 7},
    "power_at_most_10": {"max_val": 10},
    "power_at_most_8": {"max_val": 8},
    "binsearch": {"mode": "binsearch"},
    "binsearch_without_margin": {"mode": "binsearch", "margin": 0.0},
    "binsearch_half": {"mode": "binsearch", "margin": 0.5},
    "binsearch_few_trials": {"mode": "binsearch", "max_trials": 5},
    "binsearch_at_most_10": {"mode": "binsearch", "max_val": 10},
    "accumulating": {"trainer": {"accumulate_grad_batches": 2}},
}.items():
    SCENARIOS[f"size_{_name}"] = partial(size, **_options)


@SCENARIOS
def size_up_to_the_dataset(pl, folder):
    """Where memory never ends the data set does."""
    bench = Bench(pl, folder)

    class Light(searched(pl, bench)):
        def train_dataloader(self):
            return DataLoader(Rows(13), batch_size=self.batch_size)

        val_dataloader = train_dataloader

    records = {}
    for mode in ("power", "binsearch"):
        module, trainer = Light(), bench.trainer()
        module.seen.clear()
        found = tuner(pl, trainer).scale_batch_size(module, mode=mode)
        records[mode] = {"found": found, "seen": [seen[0] for seen in module.seen]}
    return records


@SCENARIOS
def size_of_a_datamodule(pl, folder):
    """The attribute may be the datamodule's."""
    bench = Bench(pl, folder)

    class Data(pl.LightningDataModule):
        def __init__(self):
            super().__init__()
            self.batch_size = 2

        def train_dataloader(self):
            return DataLoader(Rows(40), batch_size=self.batch_size)

        val_dataloader = train_dataloader

    class Sized(searched(pl, bench)):
        train_dataloader, val_dataloader = bench.Tiny.train_dataloader, bench.Tiny.val_dataloader

    module, data, trainer = Sized(), Data(), bench.trainer()
    del module.batch_size, module.hparams["batch_size"]
    found = tuner(pl, trainer).scale_batch_size(module, datamodule=data)
    return {"found": found, "seen": [seen[0] for seen in module.seen], "batch_size": data.batch_size}


@SCENARIOS
def size_in_hyperparameters(pl, folder):
    """The attribute may be a hyperparameter."""
    bench = Bench(pl, folder)

    class Sized(searched(pl, bench)):
        def train_dataloader(self):
            return DataLoader(Rows(40), batch_size=self.hparams.batch_size)

        val_dataloader = train_dataloader

    module, trainer = Sized(), bench.trainer()
    del module.batch_size
    found = tuner(pl, trainer).scale_batch_size(module)
    return {"found": found, "seen": [seen[0] for seen in module.seen], "hparams": dict(module.hparams)}


@SCENARIOS
def size_in_a_fit(pl, folder):
    """BatchSizeFinder searches before the first epoch; the fit takes the size that was found."""
    bench = Bench(pl, folder)
    module = searched(pl, bench)()
    finder = pl.callbacks.BatchSizeFinder(steps_per_trial=1)
    trainer = bench.trainer(callbacks=[finder])
    trainer.fit(module)
    return {
        "found": finder.optimal_batch_size, "seen": module.seen, "key": finder.state_key,
        **left_by(bench, trainer, module),
    }  # fmt: skip


@SCENARIOS
def size_at_milestones(pl, folder):
    """The pattern of Lightning's documents, for the batch size."""
    bench = Bench(pl, folder)

    class AtMilestones(pl.callbacks.BatchSizeFinder):
        def __init__(self, milestones, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.milestones = milestones

        def on_fit_start(self, *args, **kwargs):
            return

        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch in self.milestones:
                self.scale_batch_size(trainer, pl_module)

    module = searched(pl, bench)()
    trainer = bench.trainer(max_epochs=3, callbacks=[AtMilestones((1,), steps_per_trial=1)])
    trainer.fit(module)
    return {"seen": module.seen, **left_by(bench, trainer, module)}


def size_for(pl, folder, *, verb) -> dict[str, Any]:
    """The size for validation, test or prediction."""
    bench = Bench(pl, folder)

    class Evaluated(bench.Tiny):
        seen: list[int] = []

        def __init__(self) -> None:
            super().__init__()
            self.batch_size = 2

        def step(self, batch, batch_idx):
            self.seen.append(len(batch[0]))
            if len(batch[0]) > MEMORY:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
            return self.loss(batch)

        validation_step = test_step = predict_step = step

        def val_dataloader(self):
            return DataLoader(Rows(200), batch_size=self.batch_size)

        test_dataloader = predict_dataloader = val_dataloader

    module, trainer = Evaluated(), bench.trainer()
    found = tuner(pl, trainer).scale_batch_size(module, method=verb)
    seen = [*module.seen]
    module.seen.clear()
    by_callback = Evaluated()
    with contextlib.redirect_stdout(None):
        getattr(bench.trainer(callbacks=[pl.callbacks.BatchSizeFinder()]), verb)(by_callback)
    return {
        "found": found, "seen": seen, "batch_size": module.batch_size,
        "callback": {"seen": by_callback.seen, "batch_size": by_callback.batch_size},
    }  # fmt: skip


for _verb in ("validate", "test", "predict"):
    SCENARIOS[f"size_for_{_verb}"] = partial(size_for, verb=_verb)


def finding(what: str, *, callbacks: Callable | None = None, change: Callable | None = None, **options) -> Callable:
    """Return a misuse: call ``what`` of the tuner with these options."""

    def case(pl, bench):
        module = searched(pl, bench)()
        if change is not None:
            change(module)
        trainer = bench.trainer(callbacks=callbacks(pl) if callbacks else [])
        given = {name: value() if name.endswith("loaders") else value for name, value in options.items()}
        getattr(tuner(pl, trainer), what)(module, **given)

    return case


def without(*names: str) -> Callable:
    def change(module: Any) -> None:
        for name in names:
            delattr(module, name)
            module.hparams.pop(name, None)

    return change


def with_both(module: Any) -> None:
    module.learning_rate = 0.1


def without_number(module: Any) -> None:
    module.lr = module.hparams["lr"] = None


def manual(module: Any) -> None:
    module.automatic_optimization = False


group(
    "misuse_of_rate",
    {
        "method": (finding("lr_find", method="train"), "train"),
        "method test": (finding("lr_find", method="test"), "fit"),
        "mode": (finding("lr_find", mode="cubic"), "cubic"),
        "dataloaders": (finding("lr_find", dataloaders=lambda: batches(2)), "dataloaders"),
        "callback present": (
            finding("lr_find", callbacks=lambda pl: [pl.callbacks.LearningRateFinder()]),
            "LearningRateFinder",
        ),
        "attribute missing": (finding("lr_find", attr_name="rate"), "rate"),
        "no attribute": (finding("lr_find", change=without("lr")), "learning_rate"),
        "two attributes": (finding("lr_find", change=with_both, num_training=14), "learning_rate"),
        "callback mode": (lambda pl, bench: pl.callbacks.LearningRateFinder(mode="cubic"), "cubic"),
    },
    SCENARIOS,
)
group(
    "misuse_of_size",
    {
        "method": (finding("scale_batch_size", method="train"), "train"),
        "mode": (finding("scale_batch_size", mode="cubic"), "cubic"),
        "dataloaders in fit": (finding("scale_batch_size", dataloaders=lambda: batches(2)), "dataloaders"),
        "train loaders": (finding("scale_batch_size", train_dataloaders=lambda: batches(2)), "loader"),
        "train loaders in test": (
            finding("scale_batch_size", method="test", train_dataloaders=lambda: batches(2)),
            "dataloaders",
        ),
        "callback present": (
            finding("scale_batch_size", callbacks=lambda pl: [pl.callbacks.BatchSizeFinder()]),
            "BatchSizeFinder",
        ),
        "attribute missing": (finding("scale_batch_size", batch_arg_name="size"), "size"),
        "margin": (finding("scale_batch_size", mode="binsearch", margin=1.5), "margin"),
        "callback mode": (lambda pl, bench: pl.callbacks.BatchSizeFinder(mode="cubic"), "cubic"),
    },
    SCENARIOS,
)
