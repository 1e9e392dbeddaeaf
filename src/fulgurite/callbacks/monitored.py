"""What a callback can monitor and name a file by, and what to say when it is not there."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fulgurite.base.rank import rank_zero_warn
from fulgurite.callbacks import naming

if TYPE_CHECKING:
    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint
    from fulgurite.trainer import Trainer


def candidates(trainer: Trainer) -> dict[str, Any]:
    """What can be monitored and named now; ``epoch`` and ``step`` that the user logged win over the counters."""
    metrics = dict(trainer.callback_metrics)
    for name, count in (("epoch", trainer.current_epoch), ("step", trainer.global_step)):
        logged = metrics.get(name)
        metrics[name] = logged.int() if isinstance(logged, Tensor) else torch.tensor(count)
    return metrics


def unlogged(monitor: str, logged: list[str], was_logged: bool, kept: str) -> str:
    """What to say when ``monitor`` is not among ``logged`` and the weights went to ``kept``."""
    near = difflib.get_close_matches(monitor, logged, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"ModelCheckpoint(monitor={monitor!r}): it was never logged {'lately' if was_logged else 'during fit'}. "
        f"Logged so far: {', '.join(logged) or 'nothing'}.{meant} Call self.log({monitor!r}, ...) in "
        f"training_step or validation_step, or pass another monitor or None. "
        f"The last weights are kept, without a score, in {kept!r}."
    )


def without_score(callback: ModelCheckpoint, metrics: dict[str, Any]) -> dict[str, Any]:
    """``metrics`` for a file that has no score: its name must not claim one of 0."""
    if callback.monitor is None or callback.monitor in metrics:
        return metrics
    marked = {**metrics, callback.monitor: torch.tensor(float("nan"))}
    try:
        callback.format_checkpoint_name(marked)
    except ValueError:  # an int format has no word for it
        return metrics
    return marked


def tell_names(callback: ModelCheckpoint) -> None:
    """Say what the files will be called, where the folder has some already."""
    folder = str(callback.dirpath)
    if not callback.best_model_path and os.path.isdir(folder) and os.listdir(folder):
        rank_zero_warn(f"The checkpoint folder {folder} is not empty. This run's files: {_names_to_come(callback)}.")


def _names_to_come(callback: ModelCheckpoint) -> str:
    join, end = callback.CHECKPOINT_JOIN_CHAR, callback.FILE_EXTENSION
    template = callback.filename or join.join(("{epoch}", "{step}"))
    shown = naming.outline(template, callback.CHECKPOINT_EQUALS_CHAR, callback.auto_insert_metric_name) + end
    if not callback._enable_version_counter:
        return f"{shown!r}; one of the same name is overwritten (enable_version_counter=False)"
    if naming.has_placeholders(template):
        version = f"{join}v{callback.STARTING_VERSION}"
        return f"{shown!r}, with {version!r} where that name is taken; nothing is overwritten"
    path = callback._path_for(None, {}, own=())
    return f"{os.path.basename(path)!r}; nothing is overwritten"
