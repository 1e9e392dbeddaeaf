"""A job of SLURM whose time is up, played through here: the signal that SLURM sends, and a stand-in for `scontrol`."""

import os
import signal
from pathlib import Path

import fulgurite as pl
from fulgurite.plugins.environments import SLURMEnvironment
from fulgurite.testing import TinyModule, batches

# What srun sets in a job with one task.
os.environ.update(SLURM_JOB_ID="4711", SLURM_JOB_NAME="train", SLURM_NTASKS="1", SLURM_PROCID="0", SLURM_LOCALID="0")
Path("scontrol").write_text('#!/bin/sh\necho "scontrol $*"  > told.txt\n')
Path("scontrol").chmod(0o755)
os.environ["PATH"] = f"{Path.cwd()}{os.pathsep}{os.environ['PATH']}"


class TimeIsUp(pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 5:
            os.kill(os.getpid(), signal.SIGUSR1)  # `#SBATCH --signal=SIGUSR1@90` has SLURM send it


def trainer(*callbacks):
    return pl.Trainer(
        plugins=[SLURMEnvironment()],  # as found by itself; SLURMEnvironment(auto_requeue=False) only saves
        callbacks=[*callbacks],
        max_epochs=3,
        limit_val_batches=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


try:
    trainer(TimeIsUp()).fit(TinyModule(), batches(4))
except SystemExit as end:
    print("the program ends with code", end.code, "and leaves", sorted(map(str, Path(".").glob("hpc*"))))
    print(Path("told.txt").read_text().strip())

again = trainer()
again.fit(TinyModule(), batches(4))  # the same words as before
print("went on from", Path(again.ckpt_path).name, "to step", again.global_step)
