"""Saves checkpoints while training: when, under which names, and which of them stay."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from fulgurite.base.arguments import checked
from fulgurite.base.errors import CheckpointError, MisconfigurationException
from fulgurite.base.folder import is_folder
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.callbacks import arguments, naming, places, top_k
from fulgurite.callbacks.checkpoint import Checkpoint
from fulgurite.callbacks.moments import epochs_end_validated, has_validation, is_training, was_asked_to_end
from fulgurite.callbacks.monitored import candidates, tell_names, unlogged, without_score

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


@dataclass(slots=True)
class Run:
    """What one ``fit`` has seen of this callback; forgotten at the next."""

    started_at: int = -1
    """``global_step`` when training began; -1 before that."""
    decided: bool = False
    """Whether a save was due at least once."""
    due_at: int = -1
    """``global_step`` of a save that waits until the validation after that step is over."""
    incomplete: bool = False
    """Whether a save by step or time went without a score that validation or the epoch's end may bring."""
    validated: bool = False
    last_written: bool = False
    unscored_at: int = -1
    """``global_step`` of the newest file without a score."""
    stopgap: str = ""
    """The file without a score that the run before left: the next with one replaces it, though it was gone on from."""
    warned: bool = False
    untold: bool = False
    """Whether loggers wait to hear of a file that is being written."""


class ModelCheckpoint(Checkpoint):
    """Save the model every few epochs, steps or minutes, and keep the best ``save_top_k`` by ``monitor``.

    Without ``monitor`` the newest ``save_top_k`` of -1 (all), 0 or 1 stays. ``save_last`` keeps ``last.ckpt`` beside
    them, the newest weights whatever their score: as a file (True), or as a link where they have a file ("link").
    Triggers exclude each other: ``every_n_epochs`` (the default, 1), ``every_n_train_steps`` (optimizer steps),
    ``train_time_interval``; 0 switches one off. Epoch saves happen at the end of the training epoch if every epoch ends
    with its validation or there is none, else after each validation; ``save_on_train_epoch_end`` decides otherwise. A
    step that is followed by validation is saved after it, so a score always belongs to the weights beside it.

    ``filename`` is a template such as ``"{epoch:02d}-{val_loss:.2f}"``; a name that is taken by a file of another run
    gets ``-v1``. An old file is removed only once the new one is on disk, only inside ``dirpath``, and never the
    one that this run was resumed from.

    **A trained model is never lost.** If ``monitor`` is not logged, the newest weights are kept all the same, in one
    file under the normal name without a score. It is ``best_model_path`` until a scored one takes its place. Training
    without validation goes on after one warning; if validation ran and the epoch is over, the monitor is taken for
    misspelt and `MisconfigurationException` is raised, after the weights were saved. A ``fit`` that ends before
    any save was due saves its last weights.

    A save that fails, on a full disk for example, ends the run with `CheckpointError`, which says how much room is
    needed; with ``on_save_error="warn"`` it is a warning, and training goes on to the next save. Either way the files
    that were there before are whole, and no part of the new one stays. After Ctrl-C and SIGTERM the state at the end of
    the batch is saved without being asked; the next file with a score takes its place.
    """

    CHECKPOINT_JOIN_CHAR = "-"
    CHECKPOINT_EQUALS_CHAR = "="
    CHECKPOINT_NAME_LAST = "last"
    FILE_EXTENSION = ".ckpt"
    STARTING_VERSION = 1

    @checked
    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str | None = None,
        monitor: str | None = None,
        verbose: bool = False,
        save_last: bool | Literal["link"] | None = None,
        save_top_k: int = 1,
        save_on_exception: bool = False,
        save_weights_only: bool = False,
        mode: str = "min",
        auto_insert_metric_name: bool = True,
        every_n_train_steps: int | None = None,
        train_time_interval: timedelta | str | dict[str, int] | None = None,
        every_n_epochs: int | None = None,
        save_on_train_epoch_end: bool | None = None,
        enable_version_counter: bool = True,
        on_save_error: Literal["raise", "warn"] = "raise",
    ) -> None:
        self.dirpath = places.absolute(dirpath)
        self.filename = filename
        self.monitor = monitor
        self.verbose = verbose
        self.save_last = save_last
        self.save_top_k = save_top_k
        self.save_on_exception = save_on_exception
        self.save_weights_only = save_weights_only
        self.mode = mode
        self.auto_insert_metric_name = auto_insert_metric_name
        self._save_on_train_epoch_end = save_on_train_epoch_end
        self._enable_version_counter = enable_version_counter
        self.on_save_error = on_save_error
        arguments.check_keeping(monitor, mode, save_top_k, save_last)
        arguments.check_on_save_error(on_save_error)
        triggers = arguments.triggers(every_n_train_steps, train_time_interval, every_n_epochs)
        self._every_n_train_steps, self._train_time_interval, self._every_n_epochs = triggers

        self.current_score: Tensor | None = None
        self.best_k_models: dict[str, Tensor] = {}
        self.kth_best_model_path = ""
        self.kth_value = top_k.unbeaten(mode)
        self.best_model_score: Tensor | None = None
        self.best_model_path = ""
        self.last_model_path = ""
        self._unscored_path = ""
        self._last_checkpoint_saved = ""
        self._last_global_step_saved = -1
        self._last_time_checked = 0.0
        self._run = Run()

    @property
    def every_n_epochs(self) -> int:
        return self._every_n_epochs

    @property
    def state_key(self) -> str:
        return self._generate_state_key(
            monitor=self.monitor,
            mode=self.mode,
            every_n_train_steps=self._every_n_train_steps,
            every_n_epochs=self._every_n_epochs,
            train_time_interval=self._train_time_interval,
        )

    def state_dict(self) -> dict[str, Any]:
        state = {
            "monitor": self.monitor,
            "best_model_score": self.best_model_score,
            "best_model_path": self.best_model_path,
            "current_score": self.current_score,
            "dirpath": self.dirpath,
            "best_k_models": dict(self.best_k_models),
            "kth_best_model_path": self.kth_best_model_path,
            "kth_value": self.kth_value,
            "last_model_path": self.last_model_path,
            "last_global_step_saved": self._last_global_step_saved,
        }
        run = self._run
        more = {"unscored_model_path": self._unscored_path, "waits_for_score": run.incomplete or run.due_at >= 0}
        return state | {name: value for name, value in more.items() if value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the scores again. In another ``dirpath`` only ``best_model_path`` is taken: the files stay behind."""
        before = state_dict.get("dirpath", self.dirpath)
        self._run.incomplete = bool(state_dict.get("waits_for_score"))
        if self.dirpath == before:
            self._recall(state_dict)
            return
        rank_zero_warn(
            f"The checkpoint was written with dirpath={before!r}, this run saves to {self.dirpath!r}: only "
            "best_model_path is taken over, the scores kept so far are not compared with new ones."
        )
        self.best_model_path = state_dict.get("best_model_path", "")

    def _recall(self, state: Mapping[str, Any]) -> None:
        self.best_model_score = state.get("best_model_score")
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            setattr(self, name, state.get(name, ""))
        self.current_score = state.get("current_score")
        self.best_k_models = dict(state.get("best_k_models", {}))
        self.kth_value = state.get("kth_value", top_k.unbeaten(self.mode))
        self._unscored_path = state.get("unscored_model_path", "")
        self._last_global_step_saved = state.get("last_global_step_saved", -1)

    # When

    def folder(self, trainer: Trainer) -> str:
        return self.dirpath or places.default_folder(trainer)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._run = Run()
        saves, folder = stage == "fit" and not trainer.fast_dev_run, self.folder(trainer)
        if saves:
            places.check_local(folder)
            if self.save_top_k != 0 or self.save_last:
                places.check_writable(folder)
        self.dirpath = trainer.strategy.broadcast(folder)
        if saves and not trainer.ckpt_path and self.save_top_k != 0 and trainer.is_global_zero:
            tell_names(self)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run that goes on needs no extra file at its end where the one before has saved when it was due.
        has_saved = self._last_global_step_saved >= 0 and bool(self.best_model_path or self.last_model_path)
        decided = bool(trainer.ckpt_path) and has_saved
        self._run = Run(trainer.global_step, decided, incomplete=self._run.incomplete, stopgap=self._unscored_path)
        if not trainer.ckpt_path or self._last_global_step_saved < 0:
            # The weights of this step are where they came from; and a step of an earlier fit must not veto a save.
            self._last_global_step_saved = trainer.global_step
        self._last_time_checked = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._every_n_train_steps and self._train_time_interval is None:
            return
        if not self._is_due(trainer) or not is_training(trainer):
            return
        if trainer.validation_follows:
            self._run.due_at = trainer.global_step
            return
        self._save(trainer, by_step=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not is_training(trainer):
            return
        self._run.validated = True
        if self._is_waiting(trainer) or (not self._saves_at_epoch_end(trainer) and self._epoch_is_due(trainer)):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not is_training(trainer):
            return
        lacks_score, is_known = self._lacks_score(), self.monitor in trainer.callback_metrics
        is_due = self._saves_at_epoch_end(trainer) and self._epoch_is_due(trainer)
        if is_due or (lacks_score and is_known) or self._is_waiting(trainer):
            self._save(trainer)
        if is_known or not self._lacks_score():
            return
        if self._run.validated and not self.best_k_models:
            raise MisconfigurationException(self._missing(trainer))
        if self._run.validated or not has_validation(trainer):
            self._warn_missing(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = trainer.global_step
        if not is_training(trainer) or step == self._run.started_at:
            return
        if not self._run.decided and self.save_top_k != 0 and self._has_trigger():
            self._save(trainer)
            if step in (self._last_global_step_saved, self._run.unscored_at):
                rank_zero_info(
                    f"No checkpoint was due during fit; the last weights are in {self._last_checkpoint_saved!r}"
                )
        if self.save_last and not self._run.last_written:
            self._save_last(trainer, candidates(trainer), link_to="")
        self._tell_waiting(trainer)
        if self._lacks_score() and self.monitor not in trainer.callback_metrics:
            self._warn_missing(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save what there is, if ``save_on_exception`` asks for it or a save was only waiting for its validation.

        After Ctrl-C and SIGTERM, which wait for the end of a batch, always: `fit` goes on from there exactly.
        """
        step, is_asked = trainer.global_step, self.save_on_exception or self._run.due_at == trainer.global_step
        if not is_training(trainer) or step == self._last_global_step_saved or self._run.started_at < 0:
            return
        if was_asked_to_end(trainer) and (self.save_top_k or self.save_last):
            # The next file with a score takes its place.
            if self.monitor is None or self.save_top_k == 0:
                self._save(trainer)
            else:
                self._save_unscored(trainer, candidates(trainer))
        elif is_asked:
            metrics = candidates(trainer)
            path = self._path_for(trainer, without_score(self, metrics), own=(self._unscored_path,))
            trainer.save_checkpoint(path, self.save_weights_only)
            self._last_global_step_saved = step
            self._finish(trainer, metrics, path, outdated=())
        else:
            return
        rank_zero_info(f"{type(exception).__name__} ended the run; its weights are in {self._last_checkpoint_saved!r}")

    def _is_waiting(self, trainer: Trainer) -> bool:
        return self._run.incomplete or self._run.due_at == trainer.global_step

    def _lacks_score(self) -> bool:
        return self._run.unscored_at >= 0 and bool(self._unscored_path)

    def _has_trigger(self) -> bool:
        return bool(self._every_n_train_steps or self._every_n_epochs or self._train_time_interval is not None)

    def _is_due(self, trainer: Trainer) -> bool:
        step = trainer.global_step
        if step == self._last_global_step_saved:
            return False
        if self._every_n_train_steps:
            return step % self._every_n_train_steps == 0
        return self._time_is_up(trainer)

    def _time_is_up(self, trainer: Trainer) -> bool:
        assert self._train_time_interval is not None
        now = time.monotonic()
        is_up = trainer.strategy.broadcast(now - self._last_time_checked >= self._train_time_interval.total_seconds())
        if is_up:
            self._last_time_checked = now
        return is_up

    def _epoch_is_due(self, trainer: Trainer) -> bool:
        every = self._every_n_epochs
        new = trainer.global_step != self._last_global_step_saved
        return new and every >= 1 and (trainer.current_epoch + 1) % every == 0

    def _saves_at_epoch_end(self, trainer: Trainer) -> bool:
        asked = self._save_on_train_epoch_end
        return epochs_end_validated(trainer) if asked is None else asked

    # What

    def _save(self, trainer: Trainer, by_step: bool = False) -> None:
        try:
            self._save_or_raise(trainer, by_step)
        except CheckpointError as error:
            if self.on_save_error == "raise":
                raise
            rank_zero_warn(f"{error}. Training goes on, as on_save_error='warn' asks; the files before are there.")

    def _save_or_raise(self, trainer: Trainer, by_step: bool) -> None:
        try:
            self._tell_waiting(trainer)
        finally:
            # Also where the file before turns out to have failed.
            self._save_as_asked(trainer, by_step)

    def _save_as_asked(self, trainer: Trainer, by_step: bool) -> None:
        self._run.decided, self._run.incomplete, self._run.due_at = True, False, -1
        metrics = candidates(trainer)
        if self.save_top_k == 0:
            self._save_only_last(trainer, metrics)
        elif self.monitor is None:
            self._save_newest(trainer, metrics)
        elif self.monitor in metrics:
            self._save_if_among_best(trainer, metrics)
        else:
            # The file itself tells it, for a run that goes on from there.
            self._run.incomplete = by_step
            self._save_unscored(trainer, metrics)

    def _save_newest(self, trainer: Trainer, metrics: dict[str, Any]) -> None:
        previous = self.best_model_path
        path = self._path_for(trainer, metrics, own=(previous,))
        with self._undone_on_error(trainer.global_step):
            self.best_model_path = path
            trainer.save_checkpoint(path, self.save_weights_only)
        self._finish(trainer, metrics, path, outdated=(previous,) if self.save_top_k == 1 else ())

    def _save_if_among_best(self, trainer: Trainer, metrics: dict[str, Any]) -> None:
        score = torch.as_tensor(metrics[str(self.monitor)]).detach().cpu().clone()
        if not self.check_monitor_top_k(trainer, score):
            self._say(trainer, f"{float(score):.5f} is not among the best {self.save_top_k}")
            self._save_only_last(trainer, metrics)
            self._drop_unscored(trainer)
            return
        full = self.save_top_k != -1 and len(self.best_k_models) >= self.save_top_k
        outdated = (top_k.worst_of(self.best_k_models, self.mode) if full else "", self._unscored_path)
        path = self._path_for(trainer, metrics, own=outdated)
        with self._undone_on_error(trainer.global_step):
            self._rank(path, top_k.comparable(score, self.mode), outdated[0])
            trainer.save_checkpoint(path, self.save_weights_only)
        best = float(self.best_k_models[self.best_model_path])
        self._say(trainer, f"reached {float(score):.5f} (best {best:.5f}), saved to {path!r}")
        self._finish(trainer, metrics, path, outdated)

    def _rank(self, path: str, score: Tensor, evicted: str) -> None:
        self.best_k_models.pop(evicted, None)
        self.best_k_models[path] = self.current_score = score
        self._unscored_path = ""
        if len(self.best_k_models) >= self.save_top_k:
            self.kth_best_model_path = top_k.worst_of(self.best_k_models, self.mode)
            self.kth_value = self.best_k_models[self.kth_best_model_path]
        self.best_model_path = top_k.best_of(self.best_k_models, self.mode)
        self.best_model_score = self.best_k_models[self.best_model_path]

    def _save_unscored(self, trainer: Trainer, metrics: dict[str, Any]) -> None:
        """Keep the weights although ``monitor`` is not there, in the one file that has no score."""
        if self._run.unscored_at == trainer.global_step:
            return
        previous = self._unscored_path
        path = self._path_for(trainer, without_score(self, metrics), own=(previous,))
        with self._undone_on_error():
            self._unscored_path = path
            if not self.best_k_models:
                self.best_model_path = path
            trainer.save_checkpoint(path, self.save_weights_only)
        self._run.unscored_at = trainer.global_step
        self._finish(trainer, metrics, path, outdated=(previous,))

    def _drop_unscored(self, trainer: Trainer) -> None:
        """Scores are there again and better files too, so the one without a score has done its duty."""
        if self._unscored_path:
            old, self._unscored_path = self._unscored_path, ""
            if self._may_remove(trainer, old, new=""):
                trainer.strategy.remove_checkpoint(old)

    def _finish(self, trainer: Trainer, metrics: dict[str, Any], path: str, outdated: Iterable[str]) -> None:
        """The new file is on disk: update the last one, then remove what it replaces."""
        self._last_checkpoint_saved = path
        self._tell_loggers(trainer)
        self._save_last(trainer, metrics, link_to=path)
        for old in outdated:
            if self._may_remove(trainer, old, path):
                trainer.strategy.remove_checkpoint(old)

    def _save_only_last(self, trainer: Trainer, metrics: dict[str, Any]) -> None:
        """These weights get no file of their own; the last one, if wanted, is the newest all the same."""
        if self.save_last:
            self._save_last(trainer, metrics, link_to="")
            self._last_global_step_saved, self._last_checkpoint_saved = trainer.global_step, self.last_model_path

    def _save_last(self, trainer: Trainer, metrics: dict[str, Any], link_to: str) -> None:
        if not self.save_last:
            return
        previous = self.last_model_path
        path = self._path_for(trainer, metrics, own=(previous,), template=self.CHECKPOINT_NAME_LAST)
        with self._undone_on_error():
            self.last_model_path = path
            if self.save_last == "link" and link_to:
                if trainer.is_global_zero:
                    trainer.strategy.checkpoint_io.after_writes(partial(places.link, link_to, path), makes=path)
                trainer.strategy.barrier()
            else:
                trainer.save_checkpoint(path, self.save_weights_only)
        self._run.last_written = True
        self._tell_loggers(trainer)
        if self._may_remove(trainer, previous, path):
            trainer.strategy.remove_checkpoint(previous)

    @contextmanager
    def _undone_on_error(self, step: int | None = None) -> Iterator[None]:
        """The file's own state must already name the file, but a file that failed must not be remembered.

        With a ``step`` it is the save of that step.
        """
        before = self.state_dict()
        self._last_global_step_saved = self._last_global_step_saved if step is None else step
        try:
            yield
        except BaseException:
            self._recall(before)
            raise

    def _tell_loggers(self, trainer: Trainer) -> None:
        self._run.untold = bool(trainer.loggers) and trainer.strategy.checkpoint_io.busy
        if trainer.is_global_zero and not self._run.untold:
            for logger in trainer.loggers:
                logger.after_save_checkpoint(self)

    def _may_remove(self, trainer: Trainer, old: str, new: str) -> bool:
        """Paths may come from a file that somebody else wrote, so they prove nothing about what lies there."""
        if not old or old == new or old in self.best_k_models:
            return False
        if not old.endswith(self.FILE_EXTENSION) or (os.path.isdir(old) and not is_folder(old)):
            return False
        resumed_from = trainer.ckpt_path and os.path.realpath(trainer.ckpt_path)
        chosen = os.path.realpath(old) == resumed_from and old != self._run.stopgap
        return not chosen and places.is_inside(old, self.dirpath)

    def _tell_waiting(self, trainer: Trainer) -> None:
        """A file that was being written when its turn came: loggers hear of it before anything else changes."""
        if self._run.untold:
            trainer.strategy.checkpoint_io.wait()
            self._tell_loggers(trainer)

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether ``current`` would be kept, as all ranks agree."""
        if current is None or self.save_top_k == 0:
            return False
        if self.save_top_k == -1 or len(self.best_k_models) < self.save_top_k:
            return True
        worst = self.best_k_models[top_k.worst_of(self.best_k_models, self.mode)]
        return trainer.strategy.reduce_boolean_decision(top_k.is_better(current, worst, self.mode))

    # Names

    def format_checkpoint_name(
        self, metrics: Mapping[str, Any], filename: str | None = None, ver: int | None = None, prefix: str | None = None
    ) -> str:
        """The file's path: ``filename`` (else the callback's own) filled with ``metrics``, with version and prefix."""
        template = filename or self.filename or self.CHECKPOINT_JOIN_CHAR.join(("{epoch}", "{step}"))
        name = naming.fill(template, metrics, self.CHECKPOINT_EQUALS_CHAR, self.auto_insert_metric_name)
        parts = [prefix or "", name, "" if ver is None else f"v{ver}"]
        name = self.CHECKPOINT_JOIN_CHAR.join(part for part in parts if part) + self.FILE_EXTENSION
        return os.path.join(self.dirpath, name) if self.dirpath else name

    def file_exists(self, filepath: str | Path, trainer: Trainer) -> bool:
        """Whether rank 0 sees the file."""
        return trainer.strategy.broadcast(trainer.strategy.checkpoint_io.exists(filepath))

    def to_yaml(self, filepath: str | Path | None = None) -> None:
        """Write ``best_k_models`` as "path: score" lines, by default to ``best_k_models.yaml`` in ``dirpath``."""
        target = Path(filepath) if filepath is not None else Path(self.dirpath or ".") / "best_k_models.yaml"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{_quoted(path)}: {float(score)}\n" for path, score in self.best_k_models.items()))

    def _path_for(
        self, trainer: Trainer | None, metrics: Mapping[str, Any], own: Iterable[str], template: str | None = None
    ) -> str:
        """A path that is free or, being in ``own``, may be overwritten. Without a trainer no other rank is asked."""

        def is_taken(path: str) -> bool:
            return self.file_exists(path, trainer) if trainer is not None else os.path.exists(path)

        path, version = self.format_checkpoint_name(metrics, template), self.STARTING_VERSION
        while self._enable_version_counter and path not in own and is_taken(path):
            path = self.format_checkpoint_name(metrics, template, ver=version)
            version += 1
        return path

    # Words

    def _say(self, trainer: Trainer, outcome: str) -> None:
        if self.verbose:
            rank_zero_info(f"Epoch {trainer.current_epoch}, step {trainer.global_step}: {self.monitor!r} {outcome}")

    def _warn_missing(self, trainer: Trainer) -> None:
        if not self._run.warned:
            self._run.warned = True
            rank_zero_warn(self._missing(trainer))

    def _missing(self, trainer: Trainer) -> str:
        return unlogged(
            str(self.monitor), list(trainer.callback_metrics), bool(self.best_k_models), self._unscored_path
        )


def _quoted(path: str) -> str:
    # A JSON string is YAML too, where the path is more than a plain word.
    return path if re.fullmatch(r"[\w./=+\\-][\w./=+\\ -]*", path) else json.dumps(path)
