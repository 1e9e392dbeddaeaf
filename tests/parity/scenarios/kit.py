"""The bench on which a scenario runs: tiny data, a tiny module, and a journal of every hook.

Nothing here names a framework. ``pl`` is the module under observation (``lightning.pytorch`` when the
goldens are recorded, ``fulgurite`` when they are checked); the rest is plain torch.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

FEATURES = 3

CALLBACK_HOOKS = """
    setup teardown on_fit_start on_fit_end on_sanity_check_start on_sanity_check_end on_train_start on_train_end
    on_train_epoch_start on_train_epoch_end on_train_batch_start on_train_batch_end
    on_validation_start on_validation_end on_validation_epoch_start on_validation_epoch_end
    on_validation_batch_start on_validation_batch_end
    on_test_start on_test_end on_test_epoch_start on_test_epoch_end on_test_batch_start on_test_batch_end
    on_predict_start on_predict_end on_predict_epoch_start on_predict_epoch_end
    on_predict_batch_start on_predict_batch_end
    on_before_zero_grad on_before_backward on_after_backward on_before_optimizer_step
    on_save_checkpoint on_load_checkpoint on_exception
""".split()

STEPS = "training_step validation_step test_step predict_step".split()

# Overriding one of these may choose another path through the step, so scenarios can leave them alone.
SHAPING_HOOKS = """
    optimizer_step optimizer_zero_grad backward configure_gradient_clipping lr_scheduler_step
    on_before_batch_transfer transfer_batch_to_device on_after_batch_transfer
    on_validation_model_eval on_validation_model_train on_test_model_eval on_test_model_train
    on_predict_model_eval on_validation_model_zero_grad
""".split()

MODULE_HOOKS = [
    *(name for name in CALLBACK_HOOKS if "sanity" not in name and name != "on_exception"),
    *SHAPING_HOOKS,
    "prepare_data",
    "configure_optimizers",
]

LOADERS = "train_dataloader val_dataloader test_dataloader predict_dataloader".split()
ONLY_WHERE_DEFINED = [*STEPS, *LOADERS, "configure_callbacks", "configure_model"]

DATAMODULE_HOOKS = [
    *"prepare_data setup teardown on_exception state_dict load_state_dict".split(),
    *"on_before_batch_transfer transfer_batch_to_device on_after_batch_transfer".split(),
]


class Rows(Dataset):
    """``length`` fixed random rows; a row's target is its own number, so that a batch shows who is in it."""

    def __init__(self, length: int, seed: int = 0) -> None:
        self.x = torch.randn(length, FEATURES, generator=torch.Generator().manual_seed(seed))

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.x[index], index


class Stream(IterableDataset):
    """The same rows without a length."""

    def __init__(self, length: int, seed: int = 0) -> None:
        self.rows = Rows(length, seed)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        return (self.rows[index] for index in range(len(self.rows)))


def batches(count: int, size: int = 2, *, short: int = 0, seed: int = 0, shuffle: bool = False) -> DataLoader:
    """Return a loader of ``count`` batches of ``size`` rows; the last one lacks ``short`` rows."""
    return DataLoader(Rows(count * size - short, seed), batch_size=size, shuffle=shuffle)


def stream(count: int, size: int = 2, *, seed: int = 0) -> DataLoader:
    """Return a loader of ``count`` batches that does not know its length."""
    return DataLoader(Stream(count * size, seed), batch_size=size)


def rows_of(batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first (x, numbers) pair in a batch of any nesting."""
    if isinstance(batch, dict):
        return next(pair for part in batch.values() if (pair := rows_of(part)) is not None)
    if isinstance(batch, (list, tuple)) and batch and isinstance(batch[0], torch.Tensor):
        return batch[0], batch[1]
    if isinstance(batch, (list, tuple)):
        return next(pair for part in batch if (pair := rows_of(part)) is not None)
    return None


def tiny(pl: ModuleType) -> type:
    """Return a LightningModule class with a linear layer, four steps and plain SGD."""

    class Tiny(pl.LightningModule):
        learning_rate = 0.1

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(11)
            self.net = torch.nn.Linear(FEATURES, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x).squeeze(-1)

        def loss(self, batch: Any) -> torch.Tensor:
            x, number = rows_of(batch)
            return ((self(x) - torch.sin(number.float())) ** 2).mean()

        def training_step(self, batch, batch_idx):
            return self.loss(batch)

        def validation_step(self, batch, batch_idx):
            return self.loss(batch)

        def test_step(self, batch, batch_idx):
            return self.loss(batch)

        def predict_step(self, batch, batch_idx):
            return self(rows_of(batch)[0])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.learning_rate)

    return Tiny


def several_loaders(module_class: type) -> type:
    """Return ``module_class`` with evaluation steps that take a ``dataloader_idx``."""

    class Several(module_class):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return super().validation_step(batch, batch_idx)

        def test_step(self, batch, batch_idx, dataloader_idx=0):
            return super().test_step(batch, batch_idx)

        def predict_step(self, batch, batch_idx, dataloader_idx=0):
            return super().predict_step(batch, batch_idx)

    return Several


def brief(value: Any) -> str:
    """Return what a hook's argument was, without the numbers that floating point could blur."""
    if isinstance(value, Enum):
        return brief(value.value)
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            return "float" + "x".join(map(str, value.shape))
        return "rows" + str(value.tolist()).replace(" ", "")
    if isinstance(value, dict):
        if "state_dict" in value:
            return "checkpoint"
        return "{" + ", ".join(f"{key}: {brief(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(map(brief, value)) + ")"
    if isinstance(value, torch.optim.Optimizer):
        return "SGD" if isinstance(value, torch.optim.SGD) else "optimizer"
    return "closure" if callable(value) and not isinstance(value, torch.nn.Module) else type(value).__name__


class Journal:
    """The hooks in the order in which they were called, and the clock each time it had moved."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.losses: list[float] = []
        self.trainer: Any = None
        self._clock = ""

    def note(self, who: str, hook: str, arguments: Iterable[Any] = ()) -> None:
        line = f"{who}.{hook}({', '.join(map(brief, arguments))})"
        clock = self._read_clock()
        self.lines.append(line if clock == self._clock else f"{line} @ {clock}")
        self._clock = clock

    def _read_clock(self) -> str:
        trainer = self.trainer
        if trainer is None:
            return ""
        stage = trainer.state.stage
        module = trainer.lightning_module
        grad = "inference" if torch.is_inference_mode_enabled() else ("grad" if torch.is_grad_enabled() else "no_grad")
        mode = "none" if module is None else ("train" if module.training else "eval")
        return (
            f"epoch={trainer.current_epoch} step={trainer.global_step} stage={stage.value if stage else None} "
            f"model={mode} {grad}"
        )


def recorded(journal: Journal, who: str, cls: type, hooks: Iterable[str], skip: Iterable[str] = ()) -> type:
    """Return a subclass of ``cls`` that notes each hook in the journal, then does what ``cls`` does."""
    skipped = set(skip)
    names = [name for name in hooks if name not in skipped and hasattr(cls, name)]
    recording = type(f"Recorded{cls.__name__}", (cls,), {})
    for name in names:
        setattr(recording, name, _noting(journal, who, recording, name))
    return recording


def _noting(journal: Journal, who: str, owner: type, name: str) -> Any:
    drop = 2 if who not in ("lm", "dm") else 0  # callbacks: (trainer, pl_module) come first

    def note(self: Any, arguments: tuple, keywords: dict | None = None) -> Any:
        # Whether a hook's arguments come by position or by name is not part of the comparison.
        journal.note(who, name, [*arguments[drop:], *(keywords or {}).values()])
        result = getattr(super(owner, self), name)(*arguments, **(keywords or {}))
        if name == "on_train_batch_end" and who == "cb":
            outputs = arguments[2]
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            journal.losses.append(None if loss is None else float(loss))
        return result

    return _with_signature(note, getattr(owner, name), name)


def _with_signature(note: Any, original: Any, name: str) -> Any:
    # Steps and batch hooks are called by what their signature offers, so those keep their parameters.
    parameters = list(inspect.signature(original).parameters)[1:]
    if name in STEPS and parameters == ["batch", "batch_idx"]:
        return lambda self, batch, batch_idx: note(self, (batch, batch_idx))
    if name in STEPS and parameters == ["batch", "batch_idx", "dataloader_idx"]:
        return lambda self, batch, batch_idx, dataloader_idx=0: note(self, (batch, batch_idx, dataloader_idx))
    return lambda self, *arguments, **keywords: note(self, arguments, keywords)


def memory_logger(pl: ModuleType, journal: Journal | None = None) -> type:
    """Return a Logger class that keeps its rows in ``rows`` and its other calls in ``calls``."""

    class Memory(pl.loggers.Logger):
        def __init__(self) -> None:
            super().__init__()
            self.rows: list[list] = []
            self.calls: list[str] = []

        @property
        def name(self) -> str:
            return "memory"

        @property
        def version(self) -> int:
            return 0

        def log_metrics(self, metrics, step=None):
            self.rows.append([step, {key: plain(value) for key, value in metrics.items()}])
            if journal is not None:
                journal.note("lm", "log_metrics", [sorted(metrics), step])

        def log_hyperparams(self, params, *args, **kwargs):
            self.calls.append(f"log_hyperparams {plain(dict(params or {}))}")

        def finalize(self, status):
            self.calls.append(f"finalize {status}")

    return Memory


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, Path):
        return f"Path {value.name}"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return f"<{type(value).__name__}>"


class Bench:
    """What one scenario works with: recording classes, a trainer with quiet defaults, and the final record."""

    def __init__(self, pl: ModuleType, folder: Path) -> None:
        self.pl, self.folder = pl, Path(folder)
        self.journal = Journal()
        self.logger = memory_logger(pl)()
        self.Tiny = tiny(pl)

    def module(self, cls: type | None = None, skip: Iterable[str] = ()) -> Any:
        """Return a module (of ``cls``, else Tiny) that journals every hook but those in ``skip``."""
        cls = cls or self.Tiny
        undefined = [
            name
            for name in ONLY_WHERE_DEFINED
            if getattr(cls, name, None) is getattr(self.pl.LightningModule, name, None)
        ]
        return recorded(self.journal, "lm", cls, [*MODULE_HOOKS, *ONLY_WHERE_DEFINED], [*skip, *undefined])()

    def callback(self, cls: type | None = None, who: str = "cb", *args: Any, **kwargs: Any) -> Any:
        """Return a callback (of ``cls``, else the plain one) that journals every hook."""
        return recorded(self.journal, who, cls or self.pl.Callback, CALLBACK_HOOKS)(*args, **kwargs)

    def datamodule(self, cls: type) -> Any:
        defined = [name for name in LOADERS if getattr(cls, name) is not getattr(self.pl.LightningDataModule, name)]
        return recorded(self.journal, "dm", cls, [*DATAMODULE_HOOKS, *defined])()

    def trainer(self, **options: Any) -> Any:
        """Return a Trainer without terminal output; the journal reads its clock."""
        defaults = dict(
            accelerator="cpu",
            devices=1,
            max_epochs=1,
            logger=self.logger,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            default_root_dir=str(self.folder),
            log_every_n_steps=1,
        )
        self.journal.trainer = self.pl.Trainer(**{**defaults, **options})
        return self.journal.trainer

    def record(self, trainer: Any, module: Any, **more: Any) -> dict[str, Any]:
        """Return everything a run left behind."""
        return {
            "hooks": self.journal.lines,
            "losses": self.journal.losses,
            "rows": self.logger.rows,
            "logger_calls": self.logger.calls,
            "metrics": all_metrics(trainer),
            "end": {
                "epoch": trainer.current_epoch,
                "step": trainer.global_step,
                "should_stop": trainer.should_stop,
                "status": trainer.state.status.value,
            },
            "weights": [plain(parameter.detach().flatten()) for parameter in module.parameters()],
            **more,
        }


def fit(pl, folder, *, train=None, val=None, module=None, quiet_module=True, **options) -> dict[str, Any]:
    """Fit once with a recording module and callback.

    ``train``, ``val`` and ``module`` are functions, so that every run builds its own; ``quiet_module`` leaves the
    hooks alone whose overriding changes the shape of the step.
    """
    bench = Bench(pl, folder)
    made = bench.module(module and module(bench), skip=SHAPING_HOOKS if quiet_module else ())
    trainer = bench.trainer(callbacks=[bench.callback()], **options)
    trainer.fit(made, (train or partial(batches, 3))(), val and val())
    return bench.record(trainer, made)


class Scenarios(dict[str, Callable[..., dict[str, Any]]]):
    """Scenarios by name. As a decorator it takes a function in; ``fit`` adds a plain fit with options."""

    def __call__(self, run: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        self[run.__name__] = run
        return run

    def fit(self, name: str, **options: Any) -> None:
        self[name] = partial(fit, **options)


def all_metrics(trainer: Any) -> dict[str, Any]:
    """Return the trainer's three metric dictionaries as plain values."""
    return {
        "callback": plain(dict(trainer.callback_metrics)),
        "logged": plain(dict(trainer.logged_metrics)),
        "progress_bar": plain(dict(trainer.progress_bar_metrics)),
    }
