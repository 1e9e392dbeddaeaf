"""Progress as Lightning 2.6 writes it into a checkpoint: the tree under ``loops``, there and back.

The exact counters travel beside it under a key of our own, since that tree cannot tell whether the batch at which the
file was written had already been counted.
"""

from dataclasses import asdict, fields
from typing import Any

from fulgurite.base.arguments import shown
from fulgurite.progress import Progress

LIGHTNING_VERSION = "2.6.6"
"""The release whose layout we write; Lightning refuses files without it."""

Tree = dict[str, Any]


def loops_tree(progress: Progress, automatic: bool, loader_states: list[Any] | None = None) -> Tree:
    """Return the counters in Lightning's layout."""
    ours = progress
    steps = _pair(ours.global_step, ours.earlier_steps, automatic)
    by_hand = _pair(ours.global_step, ours.earlier_steps, not automatic)
    windows = (
        _counts(ours.windows_opened, started=True),
        _counts(ours.windows_opened - ours.earlier_windows, started=True),
    )
    fit_loop = {
        "state_dict": {"combined_loader": loader_states} if loader_states else {},
        "epoch_loop.state_dict": {"_batches_that_stepped": ours.batches_that_stepped},
        "epoch_loop.batch_progress": {
            "total": _batches(ours, ours.earlier_batches),
            "current": _batches(ours, 0),
            "is_last_batch": ours.is_last_batch,
        },
        "epoch_loop.scheduler_progress": _pair(ours.scheduler_steps, ours.earlier_scheduler_steps, True),
        "epoch_loop.automatic_optimization.state_dict": {},
        "epoch_loop.automatic_optimization.optim_progress": {
            "optimizer": {"step": steps, "zero_grad": {"total": windows[0], "current": windows[1]}}
        },
        "epoch_loop.manual_optimization.state_dict": {},
        "epoch_loop.manual_optimization.optim_step_progress": by_hand,
        "epoch_loop.val_loop.state_dict": {},
        "epoch_loop.val_loop.batch_progress": {
            "total": _all(ours.val_batches_total),
            "current": _all(ours.val_batches),
            "is_last_batch": ours.val_batches > 0,
        },
        "epoch_progress": {"total": _epochs(ours), "current": _epochs(ours)},
    }
    idle = {"state_dict": {}, "batch_progress": {"total": _all(0), "current": _all(0)}}
    evaluation = {**idle, "batch_progress": {**idle["batch_progress"], "is_last_batch": False}}
    return {"fit_loop": fit_loop, "validate_loop": evaluation, "test_loop": evaluation, "predict_loop": idle}


def exact_counters(progress: Progress) -> Tree:
    return asdict(progress)


def read_progress(checkpoint: Tree, automatic: bool) -> Progress:
    """Return the counters that a checkpoint holds: our own where there are, else what Lightning's tree tells."""
    exact = (checkpoint.get("fulgurite") or {}).get("progress")
    if exact is not None:
        known = {field.name for field in fields(Progress)}
        return _checked(Progress(**{name: value for name, value in exact.items() if name in known}))
    loop = checkpoint["loops"]["fit_loop"]
    batch, epoch = loop["epoch_loop.batch_progress"], loop["epoch_progress"]["current"]
    optimizer = loop["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]
    by_hand = loop["epoch_loop.manual_optimization.optim_step_progress"]
    step = optimizer["step"] if automatic else by_hand
    stepped = loop["epoch_loop.state_dict"].get("_batches_that_stepped", 0)
    progress = Progress(
        epoch=epoch["completed"],
        epochs_started=epoch["started"],
        epochs_processed=epoch["processed"],
        batches_ready=batch["current"]["processed"],
        batches_processed=batch["current"]["processed"],
        batches_completed=batch["current"]["processed"],
        is_last_batch=batch["is_last_batch"],
        global_step=step["total"]["completed"],
        # Inside a batch's hooks Lightning has counted the step but not yet the batch.
        batches_that_stepped=max(stepped, step["total"]["completed"]) if automatic else stepped,
        windows_opened=optimizer["zero_grad"]["total"]["completed"],
        scheduler_steps=loop["epoch_loop.scheduler_progress"]["total"]["completed"],
        earlier_batches=batch["total"]["processed"] - batch["current"]["processed"],
    )
    return _settled(_checked(progress))


def _checked(progress: Progress) -> Progress:
    """The counters, if they are such: a loop that counts on from NaN has no end. Raises ``ValueError``."""
    for field in fields(Progress):
        value: Any = getattr(progress, field.name)
        least = -1 if field.name == "validated_batch" else 0
        kind = bool if isinstance(field.default, bool) else int
        if type(value) is not kind or not least <= value < 2**62:
            raise ValueError(f"it says {field.name}={shown(value)}")
    return progress


def _settled(progress: Progress) -> Progress:
    """Bring counters that were caught inside a hook to where the run goes on after it."""
    progress.batches_completed = progress.batches_ready = progress.batches_processed
    progress.batches_ended = progress.batches_processed
    progress.batches_that_stepped += progress.window_closed
    progress.window_closed = False
    if not progress.inside_epoch:
        progress.epoch = progress.epochs_processed
    return progress


def _counts(number: int, started: bool = False) -> Tree:
    counts = {"ready": number, "completed": number}
    return {**counts, "started": number} if started else counts


def _all(number: int) -> Tree:
    return {"ready": number, "completed": number, "started": number, "processed": number}


def _pair(total: int, earlier: int, used: bool) -> Tree:
    return {"total": _counts(total if used else 0), "current": _counts(total - earlier if used else 0)}


def _batches(progress: Progress, earlier: int) -> Tree:
    return {
        "ready": earlier + progress.batches_ready,
        "completed": earlier + progress.batches_completed,
        "started": earlier + progress.batches_ready,
        "processed": earlier + progress.batches_processed,
    }


def _epochs(progress: Progress) -> Tree:
    started = progress.epochs_started
    return {"ready": started, "completed": progress.epoch, "started": started, "processed": progress.epochs_processed}
