"""Training: epochs of batches, with validation where it is due."""

import time

import torch

from fulgurite.base.errors import SIGTERMException
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.base.seed import isolate_rng
from fulgurite.base.state import RunningStage
from fulgurite.loops.evaluate import evaluate
from fulgurite.loops.step import Step, choose_step, watch_parts
from fulgurite.runtime.data import Feed, has_loader, open_train_feed, open_val_feed, training_batches, transfer
from fulgurite.runtime.hooks import call
from fulgurite.runtime.loaders import set_epoch
from fulgurite.runtime.optim import step_schedulers
from fulgurite.runtime.plan import INFINITE
from fulgurite.runtime.rows import save_loggers, write_row
from fulgurite.runtime.session import Session


def fit(session: Session) -> None:
    """Train until an epoch or step limit, or until somebody asks to stop; not at all if a limit is reached already."""
    hooks = session.hooks
    sanity_check(session)
    if _is_over(session):
        _say_why_it_is_over(session)
        return
    feed = open_train_feed(session)
    if feed.size == 0:
        rank_zero_warn("The train dataloader is empty: nothing to train on.")
        return
    open_val_feed(session)
    session.train_metrics = session.moment.metrics = session.metrics(training=True)
    step = session.step = choose_step(session)
    if session.profiler is not None:
        watch_parts(session.step, session, session.profiler)
        step = session.profiler.watched(step, "run_training_batch")
    session.validated_at = time.monotonic()
    if hooks.on_train_start is not None:
        hooks.on_train_start()
    while not _is_over(session):
        train_epoch(session, step)
    if hooks.on_train_end is not None:
        hooks.on_train_end()
    # After the hook: progress bars have let go of the terminal.
    _say_why_it_is_over(session)


def train_epoch(session: Session, step: Step) -> None:
    """One pass over the training data, its end hooks, and its row."""
    hooks, progress, metrics = session.hooks, session.progress, session.train_metrics
    assert metrics is not None
    feed = open_train_feed(session)
    set_epoch(feed.structure, progress.epoch)
    consumed = progress.batches_ready if session.resumed else 0
    if not session.resumed:
        progress.begin_epoch()
    if hooks.on_train_epoch_start is not None and not session.resumed:
        hooks.on_train_epoch_start()
    session.watched(train_batches, "run_training_epoch")(session, step, feed, consumed)
    if session.resumed and session.unmeasured and progress.batches_ready == consumed and validation_due(session, True):
        # Only the end of the epoch is left, and what its callbacks watch is not known: measure it again.
        validate(session, window_is_closed=True)
    session.resumed = False
    if not progress.batches_ready:
        session.exhausted = True
        rank_zero_warn(
            f"The train dataloader yielded no batch in epoch {progress.epoch}: training ends. An iterator that can "
            f"be read "
            "only once, such as a generator, has nothing left for a second epoch; pass something that can be "
            "iterated anew."
        )

    if session.validated_after != progress.total_batch_idx:
        session.board.take(metrics, on_step=True)
    metrics.end_epoch()
    session.moment.begin(None)
    progress.epochs_processed += 1
    if hooks.on_train_epoch_end is not None:
        hooks.on_train_epoch_end()
    session.board.take(metrics, on_step=False)
    if progress.is_last_batch:
        step_schedulers(session, "epoch", plateau=True)
    write_row(session, metrics.row(on_step=False), step=progress.batches_that_stepped - 1)
    metrics.reset()
    save_loggers(session)
    progress.epoch += 1
    if session.trainer.received_sigterm:
        raise SIGTERMException


def train_batches(session: Session, step: Step, feed: Feed, consumed: int) -> None:
    """The batches of one epoch: the loop that everything else stands around."""
    trainer, hooks, progress, moment = session.trainer, session.hooks, session.progress, session.moment
    move, schedulers = transfer(session), session.schedulers if session.module.automatic_optimization else ()
    session.train_metrics.begin_batches()  # type: ignore[union-attr]
    for batch, is_last in training_batches(feed, consumed, session.profiler):
        plan, batch_idx = session.plan, progress.batches_ready
        if move is not None:
            batch = move(batch, 0)
        progress.batches_ready = batch_idx + 1
        progress.is_last_batch = is_last
        moment.batch, moment.batch_size = batch, None
        window = plan.accumulate_grad_batches
        closes = is_last or (batch_idx + 1) % window == 0
        skips_rest = hooks.on_train_batch_start is not None and hooks.on_train_batch_start(batch, batch_idx) == -1
        if skips_rest:
            progress.is_last_batch = is_last = closes = True
        else:
            outputs = step(batch, batch_idx, batch_idx % window == 0, closes)
        progress.batches_processed += 1
        if schedulers:
            step_schedulers(session, "step", closes=closes)
            if is_last:
                step_schedulers(session, "epoch")
        if skips_rest:
            return
        progress.window_closed = closes
        if hooks.on_train_batch_end is not None:
            hooks.on_train_batch_end(outputs, batch, batch_idx)
        progress.batches_completed += 1
        if closes and (plan.logs_after(progress.batches_that_stepped + 1) or trainer.should_stop):
            write_row(session, session.train_metrics.row(on_step=True))  # type: ignore[union-attr]
        if validation_due(session, is_last):
            validate(session, closes)
        if schedulers:
            step_schedulers(session, "step", plateau=True, closes=closes)
        if closes:
            progress.batches_that_stepped += 1
            progress.window_closed = False
        if stops(session):
            return


def stops(session: Session) -> bool:
    """Whether the epoch ends after this batch although there are more."""
    trainer, plan, progress = session.trainer, session.plan, session.progress
    if trainer.received_sigterm:
        raise SIGTERMException
    if trainer.should_stop and plan.may_stop_early(progress):
        return True
    return plan.max_steps != -1 and progress.global_step >= plan.max_steps


def validation_due(session: Session, is_last: bool) -> bool:
    """Whether a validation follows this batch."""
    feed, plan, progress = session.feeds.get("val"), session.plan, session.progress
    if feed is None or not feed.size or plan.limit_val_batches == 0 or not plan.validates_in_epoch(progress.epoch):
        return False
    if session.trainer.should_stop and plan.may_stop_early(progress):
        return True
    if plan.val_check_seconds is not None:
        return time.monotonic() - session.validated_at >= plan.val_check_seconds
    every = session.val_check_batch
    if every == INFINITE:
        return is_last
    count = progress.total_batch_idx + 1 if plan.check_val_every_n_epoch is None else progress.batches_ready
    return count % every == 0


def validate(session: Session, window_is_closed: bool) -> None:
    """The same evaluation as ``trainer.validate``, in the middle of training."""
    trainer, moment, metrics = session.trainer, session.moment, session.train_metrics
    assert metrics is not None
    session.board.take(metrics, on_step=True)
    trainer.state.stage = RunningStage.VALIDATING
    with torch.no_grad():
        feed = open_val_feed(session)
    assert feed is not None
    if window_is_closed:
        call(moment, "on_validation_model_zero_grad", session.module.on_validation_model_zero_grad)
    evaluate(session, "validation", feed, feed.sizes, torch.no_grad())
    session.validated_at, session.validated_after = time.monotonic(), session.progress.total_batch_idx
    trainer.state.stage = RunningStage.TRAINING
    moment.metrics = metrics


def sanity_check(session: Session) -> None:
    """Try a few validation batches first; what is logged there is thrown away."""
    plan, trainer, hooks = session.plan, session.trainer, session.hooks
    if plan.num_sanity_val_steps == 0 or session.resumed or not validates(session):
        return
    with isolate_rng():
        trainer.state.stage = RunningStage.SANITY_CHECKING
        if hooks.on_sanity_check_start is not None:
            hooks.on_sanity_check_start()
        with torch.no_grad():
            feed = open_val_feed(session)
        if feed is not None and feed.size:
            at_most = [min(size, plan.num_sanity_val_steps) for size in feed.sizes]
            evaluate(session, "validation", feed, at_most, torch.no_grad())
        session.board.clear()
        session.progress.val_batches = session.progress.val_batches_total = 0
        if hooks.on_sanity_check_end is not None:
            hooks.on_sanity_check_end()
        trainer.state.stage = RunningStage.TRAINING


def validates(session: Session) -> bool:
    """Whether there is something to validate with and on; fetches nothing."""
    return "validation_step" in session.steps and session.plan.limit_val_batches > 0 and has_loader(session, "val")


def _is_over(session: Session) -> bool:
    trainer, plan, progress = session.trainer, session.plan, session.progress
    if (
        session.exhausted
        or plan.limit_train_batches == 0
        or plan.steps_are_over(progress)
        or plan.epochs_are_over(progress)
    ):
        return True
    return bool(trainer.should_stop and plan.may_stop_early(progress))


def _say_why_it_is_over(session: Session) -> None:
    plan, progress = session.plan, session.progress
    if plan.steps_are_over(progress):
        rank_zero_info(f"`Trainer.fit` stopped: `max_steps={plan.max_steps}` reached.")
    elif plan.epochs_are_over(progress):
        rank_zero_info(f"`Trainer.fit` stopped: `max_epochs={plan.max_epochs}` reached.")
