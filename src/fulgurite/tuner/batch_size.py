"""Finds the largest batch size that fits into memory."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import torch

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.core.callback import Callback
from fulgurite.runtime.data import reopen
from fulgurite.runtime.loaders import length_of
from fulgurite.runtime.trial import Trials
from fulgurite.tuner.settings import Place, places_of, read, write

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer

MODES = ("power", "binsearch")
STAGES = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}


class BatchSizeFinder(Callback):
    """Before the run, try larger and larger batches until memory ends, and take the largest that fit.

    ``mode="power"`` doubles the size; ``"binsearch"`` then searches between the last that fit and the first that did
    not, and takes ``margin`` off as a reserve. Each size runs ``steps_per_trial`` steps; ``max_trials`` sizes may fit,
    ``max_val`` is never passed, and the search ends where one batch holds the whole data set. The size is written to
    ``batch_arg_name`` of the module, its hyperparameters or the datamodule, whose ``*_dataloader`` must read it; the
    loaders are fetched anew. ``optimal_batch_size`` holds the result. Weights, optimizers, random states and counters
    are put back after each trial, nothing is logged, other callbacks are silent.

    To search again, override ``on_fit_start`` to do nothing and call ``self.scale_batch_size(trainer, pl_module)`` in
    ``on_train_epoch_start`` of the epochs you choose. A run that goes on from a checkpoint keeps its size.

    Raises ``MisconfigurationException`` where no such attribute is, the loaders are passed to the trainer or do not
    follow the attribute, or not even one sample fits.
    """

    SUPPORTED_MODES = MODES
    runs_first = True

    @checked
    def __init__(
        self,
        mode: str = "power",
        steps_per_trial: int = 3,
        init_val: int = 2,
        max_trials: int = 25,
        batch_arg_name: str = "batch_size",
        margin: float = 0.05,
        max_val: int = 8192,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode={mode!r}: choose 'power' or 'binsearch'.")
        if not 0 <= margin < 1:
            raise ValueError(f"margin={margin!r}: a share from 0 to below 1 was expected.")
        counts = {"steps_per_trial": steps_per_trial, "init_val": init_val, "max_trials": max_trials}
        for name, value in {**counts, "max_val": max_val}.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r}: an int from 1 was expected.")
        self.mode, self.margin, self.batch_arg_name = mode, margin, batch_arg_name
        self.steps_per_trial, self.init_val, self.max_trials, self.max_val = (
            steps_per_trial, init_val, max_trials, max_val,
        )  # fmt: skip
        self.optimal_batch_size: int | None = None

    def state_dict(self) -> dict[str, Any]:
        return {} if self.optimal_batch_size is None else {"batch_size": self.optimal_batch_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.optimal_batch_size = state_dict.get("batch_size")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            raise ValueError(f"A batch size can be searched in one process; here are {trainer.world_size}.")
        if not trainer.fast_dev_run:
            self._check(trainer)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is None:
            self.scale_batch_size(trainer, pl_module)
        elif self.optimal_batch_size is not None:
            write(self._places(trainer), self.optimal_batch_size)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self.scale_batch_size(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.scale_batch_size(trainer, pl_module)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.scale_batch_size(trainer, pl_module)

    def scale_batch_size(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Search now, and fetch the loaders of the run anew with the size that was found."""
        if trainer.fast_dev_run:
            rank_zero_warn("The search for a batch size is skipped: fast_dev_run is on.")
            return
        self._check(trainer)
        places, session = self._places(trainer), trainer._session
        assert session is not None
        before = read(places)
        try:
            fit = self._search(_Sizes(trainer, places, self.steps_per_trial))
        except BaseException:
            write(places, before)
            raise
        size = fit if self.mode == "power" else max(1, int(fit * (1 - self.margin)))
        write(places, size)
        self.optimal_batch_size = size
        for stage, feed in session.feeds.items():
            if session.given.get(stage) is None:
                reopen(session, feed)
        why = f": {fit} fits, and a margin of {100 * self.margin:g}% was taken off" if size < fit else ""
        rank_zero_info(f"Batch size set to {size}{why}")

    def _search(self, sizes: _Sizes) -> int:
        """Try sizes; return the largest that fits."""
        fit, fails, size, trials = 0, 0, min(self.init_val, self.max_val), 0
        while size:
            if sizes.fits(size):
                fit, trials = size, trials + 1
                if trials >= self.max_trials or sizes.whole:
                    break
            else:
                fails = size
            size = self._next(fit, fails)
        if not fit:
            raise MisconfigurationException(
                f"No batch size fits: even `{self.batch_arg_name}`={fails} failed."
            ) from sizes.error
        return fit

    def _next(self, fit: int, fails: int) -> int:
        """The size to try after the largest that fit and the smallest that did not; 0 to end, which they are if not."""
        if not fit:
            return fails // 2
        if fails:
            middle = (fit + fails) // 2
            return middle if self.mode == "binsearch" and middle > fit else 0
        return min(2 * fit, self.max_val) if fit < self.max_val else 0

    def _check(self, trainer: Trainer) -> None:
        session, verb = trainer._session, str(trainer.state.fn)
        assert session is not None
        if session.given.get(STAGES[verb]) is not None:
            raise MisconfigurationException(
                f"A batch size cannot be searched with loaders that were passed to `{verb}`: they cannot be built "
                f"anew. Define `{STAGES[verb]}_dataloader` on the module or on a datamodule."
            )
        if not self._places(trainer):
            raise MisconfigurationException(
                f"batch_arg_name={self.batch_arg_name!r}: neither {type(session.module).__name__} nor its "
                "hyperparameters nor the datamodule have it. It is what the dataloaders' batch size is read from."
            )

    def _places(self, trainer: Trainer) -> list[Place]:
        return places_of(self.batch_arg_name, trainer.lightning_module, trainer.datamodule)


class _Sizes:
    """Tries one batch size after the other."""

    def __init__(self, trainer: Trainer, places: list[Place], steps: int) -> None:
        self.trials, self.places, self.steps = Trials(trainer), places, steps
        stage = STAGES[str(trainer.state.fn)]
        # Training ends by itself: its epoch shall be whole, as accumulation and schedulers count on.
        self.limits: dict[str, Any] = {f"limit_{stage}_batches": 1.0 if stage == "train" else steps}
        self.whole = False
        """Whether the last batch size takes the whole data set at once."""
        self.error: Exception | None = None
        self.built: list[Any] = []

    def fits(self, size: int) -> bool:
        """Whether the steps of a trial go through with this size. Errors that are not for want of memory are raised."""
        write(self.places, size)
        trial = _Steps(self.steps)
        self.error = None
        try:
            self.trials.run(trial, reload=True, **self.limits)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # The traceback holds the frames of the step, and they hold its tensors.
            self.error = error.with_traceback(None)
            error.__context__ = None
        free_memory()
        self._check_that_loaders_follow(trial.built)
        self.whole, fits = trial.whole, self.error is None and trial.batches > 0
        rank_zero_info(f"A batch of {size} {'fits' if fits else 'does not fit'}.")
        return fits

    def _check_that_loaders_follow(self, built: list[Any]) -> None:
        if self.built == built and any(built):
            raise MisconfigurationException(
                f"The loaders have batches of {', '.join(map(str, built))} whatever `{self.places[0][1]}` is. Read it "
                f"where they are built: DataLoader(..., batch_size=self.{self.places[0][1]})."
            )
        self.built = built


class _Steps(Callback):
    """Looks at the loaders of a trial, counts its batches, and ends it."""

    def __init__(self, steps: int) -> None:
        self.steps, self.batches, self.whole = steps, 0, False
        self.built: list[Any] = []
        for stage in ("train", "validation", "test", "predict"):
            setattr(self, f"on_{stage}_start", self._look)
            setattr(self, f"on_{stage}_batch_end", self._count)

    def _look(self, trainer: Trainer, *args: Any) -> None:
        session = trainer._session
        assert session is not None
        loaders = session.feeds[STAGES[str(trainer.state.fn)]].loaders
        self.built = [getattr(loader, "batch_size", None) for loader in loaders]
        self.whole = all(length_of(loader) <= 1 for loader in loaders)

    def _count(self, trainer: Trainer, *args: Any) -> None:
        # A step of training is one of the optimizer, whose memory counts as well.
        if trainer.state.fn != "fit" or trainer.progress.window_closed:
            self.batches += 1
        if self.batches >= self.steps:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = True


SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUDNN_STATUS_NOT_SUPPORTED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""What stands in the message where torch raises a plain ``RuntimeError`` for want of memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error came of memory running out, on a device or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def free_memory() -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
