"""The checkpoints that jobs leave in a cluster when they make room: ``hpc_ckpt_1.ckpt``, ``hpc_ckpt_2.ckpt`` …"""

import os
import re
from pathlib import Path
from typing import Any

from fulgurite.base.folder import is_intact
from fulgurite.base.rank import rank_zero_info, rank_zero_warn

WORD = "hpc"
NAME = re.compile(r"hpc_ckpt_(\d+)\.ckpt")
JOB = "job"
"""The key, among what is ours in a checkpoint, of the job that wrote it."""


def folder(trainer: Any) -> Path:
    """Where they lie. The tasks of a job array share a ``default_root_dir``, so each has a folder in there."""
    task = trainer.strategy.cluster_environment and trainer.strategy.cluster_environment.array_task
    return Path(trainer.default_root_dir, f"hpc_task_{task}") if task else Path(trainer.default_root_dir)


def found(trainer: Any) -> list[Path]:
    """Return them, the newest first."""
    where = folder(trainer)
    names = os.listdir(where) if where.is_dir() else []
    numbers = sorted((int(match[1]) for match in map(NAME.fullmatch, names) if match), reverse=True)
    return [where / f"hpc_ckpt_{number}.ckpt" for number in numbers]


def newest(trainer: Any) -> Path | None:
    """Return the newest that is whole, with a warning about those that are not."""
    for path in found(trainer):
        if is_intact(path):
            return path
        rank_zero_warn(f"The checkpoint {str(path)!r} is damaged or cut short: the one before is taken.")
    return None


def next_path(trainer: Any) -> Path:
    """Return the path for another one. What is there stays."""
    last = next(iter(found(trainer)), None)
    number = 1 if last is None else int(NAME.fullmatch(last.name)[1]) + 1  # type: ignore[index]
    return folder(trainer) / f"hpc_ckpt_{number}.ckpt"


def goes_on(trainer: Any) -> bool:
    """Whether this is a `fit` that may go on from such a file by itself: the first of a Trainer in a job."""
    cluster, progress = trainer.strategy.cluster_environment, trainer.progress
    is_job = cluster is not None and cluster.requeue_signal is not None and cluster.job is not None
    return trainer.state.fn == "fit" and is_job and not progress.epochs_started and not progress.global_step


def instead_of(trainer: Any, ckpt_path: Any) -> Any:
    """Return what `fit` goes on from where ``ckpt_path`` was passed: a file that this very job left comes first."""
    path = newest(trainer)
    if path is None:
        return ckpt_path
    writer, job = _writer(trainer, path), trainer.strategy.cluster_environment.job
    if ckpt_path is None and writer != job:
        rank_zero_warn(
            f"Training goes on from {str(path)!r}, which was written by "
            f"{'another program' if writer is None else f'job {writer}'}; this is job {job}. To begin anew, remove the "
            "file or pass Trainer(default_root_dir=...) with another folder."
        )
    if ckpt_path is not None and writer != job:
        return ckpt_path
    if ckpt_path is not None:
        rank_zero_info(f"ckpt_path={ckpt_path!r} was where this job began. It goes on from {str(path)!r}.")
    return str(path)


def _writer(trainer: Any, path: Path) -> str | None:
    ours = trainer.strategy.load_checkpoint(path).get("fulgurite")
    return ours.get(JOB) if isinstance(ours, dict) else None
