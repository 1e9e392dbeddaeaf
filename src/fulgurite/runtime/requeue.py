"""A job that makes room in a cluster: it saves its state, closes everything, and goes back into the queue."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fulgurite.base.errors import RequeueException
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.runtime import job_files
from fulgurite.runtime.checkpoint import capture
from fulgurite.runtime.session import Session


@contextmanager
def saved(session: Session) -> Iterator[None]:
    """If the run inside makes room, write its state, as it is after the batch, and wait until it is on the disk."""
    try:
        yield
    except RequeueException as error:
        # Before the first batch there is nothing to save that is not where the run began.
        if session.step is not None and session.restart is None:
            error.path = str(job_files.next_path(session.trainer))
            _write(session, error.path)
        raise


@contextmanager
def again(trainer: Any) -> Iterator[None]:
    """If the run inside makes room, let the cluster run its job again, once everything is closed."""
    try:
        yield
    except RequeueException as error:
        if trainer.is_global_zero:
            _requeue(trainer.strategy.cluster_environment, error.path)
        raise


def _write(session: Session, path: str) -> None:
    checkpoint = capture(session)
    cluster = session.strategy.cluster_environment
    checkpoint["fulgurite"][job_files.JOB] = None if cluster is None else cluster.job
    session.strategy.save_checkpoint(checkpoint, path)
    session.strategy.checkpoint_io.wait()


def _requeue(cluster: Any, path: str | None) -> None:
    place = f"It goes on from {path!r}" if path else "It begins as this one did"
    if not cluster.auto_requeue:
        rank_zero_info(f"Training has made room; auto_requeue=False, so submit the job again. {place}.")
        return
    try:
        cluster.requeue()
    except RuntimeError as error:
        rank_zero_warn(
            f"Job {cluster.job} has made room, but does not run again by itself: {error}. Submit it again. {place}."
        )
    else:
        rank_zero_info(f"Job {cluster.job} is in the queue again. {place}.")
