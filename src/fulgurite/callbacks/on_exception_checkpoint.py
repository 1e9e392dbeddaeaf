"""Saves a checkpoint when a fit fails."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fulgurite.base.arguments import checked
from fulgurite.base.rank import rank_zero_info
from fulgurite.callbacks import places
from fulgurite.callbacks.checkpoint import Checkpoint
from fulgurite.callbacks.moments import is_training

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule
    from fulgurite.trainer import Trainer


class OnExceptionCheckpoint(Checkpoint):
    """Write ``dirpath/filename.ckpt`` when an error, Ctrl-C or SIGTERM ends a fit that has begun to train.

    A fit that goes on from that file (``ckpt_path=callback.ckpt_path``) and ends well removes it. As a checkpoint
    callback it takes the place of the default `ModelCheckpoint`; add one to save while all goes well.

    Raises ``ValueError`` for an empty ``filename``.
    """

    FILE_EXTENSION = ".ckpt"

    @checked
    def __init__(self, dirpath: str | Path, filename: str = "on_exception") -> None:
        if not filename:
            raise ValueError(f"OnExceptionCheckpoint(filename={filename!r}): the filename cannot be empty.")
        if dirpath is None:
            raise ValueError("OnExceptionCheckpoint(dirpath=None): pass the folder that the file shall be written to.")
        self.dirpath = places.absolute(dirpath)
        self.filename = filename

    @property
    def ckpt_path(self) -> str:
        return os.path.join(str(self.dirpath), self.filename + self.FILE_EXTENSION)

    def folder(self, trainer: Trainer) -> str | None:
        return self.dirpath

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and not trainer.fast_dev_run:
            places.check_writable(str(self.dirpath))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Before the first batch there is nothing new to save, and a file of an earlier crash may lie there.
        if is_training(trainer) and trainer.training_has_begun:
            trainer.save_checkpoint(self.ckpt_path)
            rank_zero_info(f"{type(exception).__name__} ended the run; it can go on from {self.ckpt_path!r}")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.ckpt_path is not None and os.path.realpath(trainer.ckpt_path) == os.path.realpath(self.ckpt_path):
            trainer.strategy.remove_checkpoint(self.ckpt_path)
