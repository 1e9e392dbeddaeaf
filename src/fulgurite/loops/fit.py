"""Training: epochs of batches, with validation where it is due."""

import time
from collections.abc import Iterator
from typing import Any

import torch

from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.base.seed import collect_rng_states, isolate_rng
from fulgurite.base.state import RunningStage
from fulgurite.loops.evaluate import evaluate
from fulgurite.loops.step import Step, choose_step, watch_parts
from fulgurite.runtime.data import (
    Feed,
    go_to,
    has_loader,
    open_train_feed,
    open_val_feed,
    training_batches,
    transfer,
)
from fulgurite.runtime.exact import put_back_gradients, put_back_meters, put_back_random_states
from fulgurite.runtime.hooks import call
from fulgurite.runtime.loaders import put_back, set_epoch
from fulgurite.runtime.optim import step_schedulers
from fulgurite.runtime.plan import INFINITE
from fulgurite.runtime.rows import save_loggers, write_row
from fulgurite.runtime.session import Session
from fulgurite.runtime.signals import end_if_asked


def fit(session: Session) -> None:
    """Train until an epoch or step limit, or until somebody asks to stop; not at all if a limit is reached already."""
    hooks = session.hooks
    sanity_check(session)
    # The end of the last epoch may be behind the checkpoint, and the end of the training still before it.
    is_ending = end_epoch_of_before(session)
    if _is_over(session) and not is_unfinished(session) and not is_ending:
        _say_why_it_is_over(session)
        return
    feed = open_train_feed(session)
    if feed.size == 0:
        rank_zero_warn("The train dataloader is empty: nothing to train on.")
        return
    open_val_feed(session)
    open_metrics(session)
    step = session.step = choose_step(session)
    if session.profiler is not None:
        watch_parts(session.step, session, session.profiler)
        step = session.profiler.watched(step, "run_training_batch")
    session.validated_at = time.monotonic()
    if hooks.on_train_start is not None:
        hooks.on_train_start()
    while is_unfinished(session) or not _is_over(session):
        train_epoch(session, step)
    if hooks.on_train_end is not None:
        hooks.on_train_end()
    # After the hook: progress bars have let go of the terminal.
    _say_why_it_is_over(session)


def train_epoch(session: Session, step: Step) -> None:
    """One pass over the training data, its end hooks, and its row."""
    hooks, progress, metrics = session.hooks, session.progress, session.train_metrics
    assert metrics is not None
    if not session.resumed:
        put_back_random_states(session)
    feed = open_train_feed(session)
    set_epoch(feed.structure, progress.epoch)
    if session.resumed:
        go_on_in_epoch(session, step, feed)
    else:
        begin_anew(session, feed)
        progress.begin_epoch()
        if hooks.on_train_epoch_start is not None:
            hooks.on_train_epoch_start()
        session.watched(train_batches, "run_training_epoch")(session, step, training_batches(feed, session.waits))
    if not progress.batches_ready:
        session.exhausted = True
        rank_zero_warn(
            f"The train dataloader yielded no batch in epoch {progress.epoch}: training ends. An iterator that can "
            f"be read "
            "only once, such as a generator, has nothing left for a second epoch; pass something that can be "
            "iterated anew."
        )

    if progress.validated_batch != progress.total_batch_idx:
        session.board.take(metrics, on_step=True)
    metrics.end_epoch()
    session.moment.begin(None)
    progress.epochs_processed += 1
    if hooks.on_train_epoch_end is not None:
        hooks.on_train_epoch_end()
    end_epoch(session)
    # A hook of one rank may have set it: the others would wait for that one in the next epoch.
    session.trainer.should_stop = session.strategy.reduce_boolean_decision(session.trainer.should_stop, all=False)
    end_if_asked(session)


def end_epoch(session: Session) -> None:
    """What follows an epoch's hooks: its schedulers, its row."""
    progress, metrics = session.progress, session.train_metrics
    assert metrics is not None
    session.board.take(metrics, on_step=False)
    if progress.is_last_batch:
        step_schedulers(session, "epoch", plateau=True)
    write_row(session, metrics.row(on_step=False), step=progress.batches_that_stepped - 1)
    metrics.reset()
    save_loggers(session)
    progress.epoch += 1


def end_epoch_of_before(session: Session) -> bool:
    """Do what was left of an epoch when its last hook wrote the checkpoint that this run goes on from, if any was."""
    left = session.restart is not None and session.progress.epochs_processed > session.progress.epoch
    if left:
        open_metrics(session)
        put_back_random_states(session)
        end_epoch(session)
    return left


def open_metrics(session: Session) -> None:
    """Begin to measure, or go on from what a checkpoint brought."""
    session.train_metrics = session.moment.metrics = session.metrics(training=True)
    if session.restart is not None:
        put_back_meters(session, session.train_metrics)


def go_on_in_epoch(session: Session, step: Step, feed: Feed) -> None:
    """The rest of the epoch in whose middle the checkpoint was written, from the very hook on."""
    progress, restart = session.progress, session.restart
    consumed = progress.batches_ready
    # The limit may be lower than it was.
    progress.is_last_batch = progress.is_last_batch or consumed >= feed.size
    if consumed:
        batches = go_to(feed, restart.feeds.get("train"), restart.loader_states, consumed, session.waits)
        put_back_gradients(session)
        put_back_random_states(session)
    else:
        put_back_random_states(session)
        begin_anew(session, feed)
        batches = training_batches(feed, session.waits)
    session.restart = None
    session.train_metrics.begin_batches()  # type: ignore[union-attr]
    stopped = is_unfinished(session) and end_batch(session, progress.window_closed)
    if not stopped:
        session.watched(train_batches, "run_training_epoch")(session, step, batches)
    if session.unmeasured and progress.batches_ready == consumed and validation_due(session, True):
        # Only the end of the epoch is left, and what its callbacks watch is not known: measure it again.
        validate(session, window_is_closed=True)
    session.resumed = False


def begin_anew(session: Session, feed: Feed) -> None:
    """Begin an epoch from its start, the first of this run or a later one."""
    if session.restart is not None and session.restart.loader_states:
        put_back(feed.loaders, session.restart.loader_states, goes_on=False)
        put_back_random_states(session)
    session.restart = None


def is_unfinished(session: Session) -> bool:
    """Whether the checkpoint was written in the middle of what follows a batch."""
    return session.resumed and session.progress.batches_ended < session.progress.batches_processed


def train_batches(session: Session, step: Step, batches: Iterator[tuple[Any, bool]]) -> None:
    """The batches of one epoch: the loop that everything else stands around."""
    hooks, progress, moment = session.hooks, session.progress, session.moment
    move, schedulers = transfer(session), session.schedulers if session.module.automatic_optimization else ()
    session.train_metrics.begin_batches()  # type: ignore[union-attr]
    session.strategy.begin_epoch()
    for batch, is_last in batches:
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
            progress.batches_ended = progress.batches_processed
            return
        progress.window_closed = closes
        if hooks.on_train_batch_end is not None:
            hooks.on_train_batch_end(outputs, batch, batch_idx)
        if end_batch(session, closes):
            return


def end_batch(session: Session, closes: bool) -> bool:
    """What follows a batch's hooks: its row, a validation, schedulers that watch it. Return whether the epoch ends.

    A checkpoint that one of these hooks writes knows which of it was done, and a run that goes on does the rest.
    """
    plan, progress, trainer = session.plan, session.progress, session.trainer
    if progress.batches_completed < progress.batches_processed:
        progress.batches_completed += 1
        if closes and (plan.logs_after(progress.batches_that_stepped + 1) or trainer.should_stop):
            write_row(session, session.train_metrics.row(on_step=True))  # type: ignore[union-attr]
    if trainer.received_sigterm or trainer.received_sigint or trainer.received_requeue or trainer.received_stop:
        end_if_asked(session)
    if progress.validated_batch != progress.total_batch_idx and validation_due(session, progress.is_last_batch):
        validate(session, closes)
    if session.schedulers and session.module.automatic_optimization:
        step_schedulers(session, "step", plateau=True, closes=closes)
    if closes:
        progress.batches_that_stepped += 1
        progress.window_closed = False
    progress.batches_ended = progress.batches_processed
    return stops(session)


def stops(session: Session) -> bool:
    """Whether the epoch ends after this batch although there are more."""
    trainer, plan, progress = session.trainer, session.plan, session.progress
    if trainer.should_stop and plan.may_stop_early(progress):
        return True
    return plan.max_steps != -1 and progress.global_step >= plan.max_steps


def validation_due(session: Session, is_last: bool) -> bool:
    """Whether a validation follows this batch."""
    feed, plan, progress = session.feeds.get("val"), session.plan, session.progress
    if feed is None or feed.is_empty or plan.limit_val_batches == 0 or not plan.validates_in_epoch(progress.epoch):
        return False
    if session.trainer.should_stop and plan.may_stop_early(progress):
        return True
    if plan.val_check_seconds is not None:
        return time_is_up(session, plan.val_check_seconds)
    every = session.val_check_batch
    if every == INFINITE:
        return is_last
    if is_last and plan.val_check_interval == 1.0:
        return True
    count = progress.total_batch_idx + 1 if plan.check_val_every_n_epoch is None else progress.batches_ready
    return count % every == 0


def time_is_up(session: Session, seconds: float) -> bool:
    """Whether the last validation is so long ago. Asked again after the same batch, it answers the same.

    All ranks go by the clock of rank 0.
    """
    batch, answer = session.timed
    if batch != session.progress.total_batch_idx:
        answer = session.strategy.broadcast(time.monotonic() - session.validated_at >= seconds)
        session.timed = session.progress.total_batch_idx, answer
    return answer


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
    session.before_validation = collect_rng_states()
    evaluate(session, "validation", feed, feed.sizes, torch.no_grad())
    session.before_validation = None
    session.validated_at = time.monotonic()
    trainer.state.stage = RunningStage.TRAINING
    moment.metrics = metrics


def sanity_check(session: Session) -> None:
    """Try a few validation batches first; what is logged there is thrown away."""
    plan, trainer, hooks = session.plan, session.trainer, session.hooks
    if plan.num_sanity_val_steps == 0 or session.restart is not None or not validates(session):
        return
    with isolate_rng():
        trainer.state.stage = RunningStage.SANITY_CHECKING
        if hooks.on_sanity_check_start is not None:
            hooks.on_sanity_check_start()
        with torch.no_grad():
            feed = open_val_feed(session)
        if feed is not None and not feed.is_empty:
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
