"""How a run begins and how it ends: the hooks and the wiring around the loops, in their order."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from fulgurite.base.errors import LoaderTimeoutError, MisconfigurationException, RequeueException
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.core.callback import Callback
from fulgurite.core.module import LightningModule
from fulgurite.runtime import faults, profiling, workers
from fulgurite.runtime.checkpoint import Checkpoint, restore_model, restore_training
from fulgurite.runtime.data import Feed, has_loader
from fulgurite.runtime.exact import put_back_feeds
from fulgurite.runtime.hooks import Hooks, call, overrides
from fulgurite.runtime.optim import configure
from fulgurite.runtime.session import Session

Act = Callable[[], Any]

STEPS = {
    "fit": ("training_step", "validation_step"),
    "validate": ("validation_step",),
    "test": ("test_step",),
    "predict": ("predict_step",),
}


def begin(session: Session, read: Callable[[], Checkpoint | None], compile_step: Callable[[Any], Any] | None) -> None:
    """Everything before the first batch. ``read`` brings the checkpoint to go on from, if there is one."""
    module, moment, fn = session.module, session.moment, session.trainer.state.fn
    session.board.clear()
    lend_log(session)
    session.strategy.setup_environment()
    # Each rank has looked for it by itself, and may have seen another state of the folder.
    session.trainer.ckpt_path = session.strategy.broadcast(session.trainer.ckpt_path)
    session.trainer.accelerator.setup_device(session.device)
    prepare_data(session)
    for logger in sorted(session.loggers, key=lambda logger: type(logger).__name__ != "WandbLogger"):
        _ = logger.experiment
    share_identities(session)
    set_up(session, str(fn))
    if overrides(module, "configure_model", LightningModule):
        with session.strategy.tensor_init_context(), session.precision.module_init_context():
            call(moment, "configure_model", module.configure_model)
    # Before weights are put back: float64 that goes through a float32 parameter is rounded.
    session.strategy.model = session.precision.convert_module(module)
    wraps_first = session.strategy.restore_checkpoint_after_setup
    checkpoint = None if wraps_first else restored_weights(session, read)
    session.strategy.model_to_device()
    synchronise_layers(session)
    session.strategy.setup(session.trainer)
    checkpoint = restored_weights(session, read) if wraps_first else checkpoint
    bind_steps(session, compile_step)
    if fn == "fit":
        configured(session)
        session.strategy.take_optimizers(session)
    session.hooks = Hooks(session.trainer, module, LightningModule, session.callbacks, moment)
    if session.profiler is not None:
        profiling.watch_hooks(session.hooks, session.profiler)
        session.profiler.attach(module)
    if session.hooks.on_fit_start is not None and fn == "fit":
        session.hooks.on_fit_start()
    log_hyperparameters(session)
    if fn == "fit":
        hear_stops(session)
    if checkpoint is not None and fn == "fit":
        restore_training(session, checkpoint)
    module.zero_grad()


def synchronise_layers(session: Session) -> None:
    sync = session.strategy.layer_sync
    if sync is None or session.strategy.world_size == 1:
        return
    if session.trainer.state.fn == "fit":
        sync.check(session.module, session.device)
    sync.apply(session.module)


def restored_weights(session: Session, read: Callable[[], Checkpoint | None]) -> Checkpoint | None:
    """Read the checkpoint to go on from, if there is one, and put its weights into the model."""
    checkpoint = read()
    if checkpoint is not None:
        restore_model(session, checkpoint)
        if str(session.trainer.state.fn) == "fit":
            # Before `configure_optimizers`, which may count the train data.
            put_back_feeds(session, checkpoint)
    return checkpoint


def finish(session: Session) -> None:
    """Everything after the last batch of a run that went well."""
    fn = session.trainer.state.fn
    session.strategy.barrier("the end of the run")
    session.strategy.teardown()
    if fn == "fit" and session.hooks.on_fit_end is not None:
        session.hooks.on_fit_end()
    problems = attempt(session, [*teardowns(session, str(fn)), partial(end_workers, session)])
    if problems:
        raise noted(problems[0], problems[1:])
    close_log(session)
    for logger in session.loggers:
        _close_logger(session, logger, "success")
    profiling.end(session)


def fail(session: Session, error: BaseException) -> None:
    """Tell everybody, tear down, finalize the loggers. What goes wrong here becomes a note on ``error``.

    So do the batch and the step at which it was raised.
    """
    faults.explain(session, error)
    moment, datamodule, trainer, module = session.moment, session.datamodule, session.trainer, session.module
    acts: list[Act] = []
    if not trainer.ended_as_asked and not isinstance(error, RequeueException):
        session.strategy.part(error)
    for callback in session.callbacks:
        if overrides(callback, "on_exception", Callback):
            acts.append(partial(call, moment, "on_exception", callback.on_exception, trainer, module, error))
    if datamodule is not None:
        acts.append(partial(call, moment, "on_exception", datamodule.on_exception, error))
    acts.append(lambda: session.strategy.on_exception(error))
    # After the checkpoints, which ask loaders that keep a state for it.
    acts.append(partial(end_workers_after, session, error))
    # Loggers keep files that must be whole by then.
    acts.append(session.strategy.checkpoint_io.wait)
    closed = set(map(id, session.closed_loggers))
    status = "finished" if isinstance(error, RequeueException) else "failed"
    acts += [partial(_close_logger, session, logger, status) for logger in session.loggers if id(logger) not in closed]
    acts += [session.strategy.teardown, *teardowns(session, str(trainer.state.fn)), partial(close_log, session)]
    acts.append(partial(profiling.end, session))
    noted(error, attempt(session, acts))


def end_workers_after(session: Session, error: BaseException) -> None:
    """End the workers of the run's loaders now: the error's traceback would hold them for as long as it lives."""
    hung = isinstance(error, LoaderTimeoutError) or "timed out after" in str(error)
    trainer = session.trainer
    # The second Ctrl-C: torch would wait five seconds for a worker that is busy.
    at_once = isinstance(error, KeyboardInterrupt) and trainer.received_sigint and not trainer.ended_as_asked
    end_workers(session, workers.passes_in(error.__traceback__), hung=hung or at_once, hidden_too=True)


def end_workers(
    session: Session,
    others: Iterable[Any] = (),
    hung: bool = False,
    but: Iterable[Feed] = (),
    hidden_too: bool = False,
) -> None:
    """End the workers of the run's loaders, persistent ones too, those of ``others``, and none of the feeds ``but``.

    ``hidden_too``: also persistent ones of a loader inside another, which will be of no use after that. What a
    generator reads from is not known.

    They may not be left to the collector of garbage, which closes the pipes to the workers before torch asks them
    through these to end: it then waits seconds for each, or asks through whatever else those pipes' numbers are by
    now. Any process that is forked meanwhile does the same.
    """
    feeds, kept = list(session.feeds.values()), {id(batches) for feed in but for batches in feed.passes}
    running = {id(batches): batches for batches in [*others, *(batches for feed in feeds for batches in feed.passes)]}
    ended = [batches for number, batches in running.items() if number not in kept]
    workers.end([loader for feed in feeds for loader in feed.loaders], ended, hung, hidden_too)


def attempt(session: Session, acts: list[Act]) -> list[Exception]:
    """Do all of ``acts``, also after one that raised; return what was raised."""
    raised: list[Exception] = []
    for act in acts:
        session.moment.hook = None
        try:
            act()
        except Exception as error:
            raised.append(error)
    return raised


def noted(error: BaseException, others: list[Exception]) -> BaseException:
    """Return ``error`` with a note of each of the others."""
    for other in others:
        error.add_note(f"While the run was closed, this went wrong as well: {type(other).__name__}: {other}")
    return error


def prepare_data(session: Session) -> None:
    """Let one process of each machine prepare the data, or one of all; the others wait for it."""
    strategy = session.strategy
    for owner in (session.datamodule, session.module):
        if owner is not None:
            rank = strategy.local_rank if getattr(owner, "prepare_data_per_node", True) else strategy.global_rank
            if rank == 0:
                call(session.moment, "prepare_data", owner.prepare_data)
            strategy.barrier("prepare_data")


def share_identities(session: Session) -> None:
    """Let the loggers of all ranks name the run that rank 0 logs to: its number, its id."""
    if session.strategy.world_size > 1:
        named = session.strategy.broadcast([_identity(logger) for logger in session.loggers])
        for logger, identity in zip(session.loggers, named, strict=True):
            logger.__dict__.update(identity)


def _identity(logger: Any) -> dict[str, Any]:
    kept = {name: logger.__dict__.get(name) for name in ("_name", "_version", "_id")}
    return {name: value for name, value in kept.items() if isinstance(value, str | int)}


def set_up(session: Session, stage: str) -> None:
    """The ``setup`` hooks: datamodule, callbacks, module."""
    trainer, module, moment = session.trainer, session.module, session.moment
    if session.datamodule is not None:
        call(moment, "setup", partial(session.datamodule.setup, stage=stage))
    for callback in session.callbacks:
        if overrides(callback, "setup", Callback):
            call(moment, "setup", partial(callback.setup, trainer, module, stage=stage))
    call(moment, "setup", partial(module.setup, stage=stage))


def teardowns(session: Session, stage: str) -> list[Act]:
    """The ``teardown`` hooks, in the same order; none the second time."""
    if session.torn_down:
        return []
    session.torn_down = True
    trainer, module = session.trainer, session.module
    hooks: list[Act] = []
    if session.datamodule is not None:
        hooks.append(partial(session.datamodule.teardown, stage=stage))
    for callback in session.callbacks:
        if overrides(callback, "teardown", Callback):
            hooks.append(partial(callback.teardown, trainer, module, stage=stage))
    hooks.append(partial(module.teardown, stage=stage))
    return [partial(call, session.moment, "teardown", hook) for hook in hooks]


def bind_steps(session: Session, compile_step: Callable[[Any], Any] | None) -> None:
    """Let strategy, compiler and precision wrap the user's steps, once."""
    module, precision = session.module, session.precision
    for name in STEPS[str(session.trainer.state.fn)]:
        if name != "predict_step" and not overrides(module, name, LightningModule):
            continue
        own = getattr(module, name)
        step = session.strategy.bind(own if compile_step is None else compile_step(own), name)
        step = step if takes_batch_idx(own) else _batch_only(step)
        context = precision.context_of(name)
        step = step if context is None else _in_context(step, context)
        session.steps[name] = session.watched(step, profiling.of_strategy(session, name))


def takes_batch_idx(step: Callable[..., Any]) -> bool:
    """Whether the user's step takes anything beside the batch."""
    kinds = [one.kind for one in inspect.signature(step).parameters.values()]
    return len(kinds) > 1 or inspect.Parameter.VAR_POSITIONAL in kinds


def configured(session: Session) -> None:
    """Take optimizers and schedulers from ``configure_optimizers``."""
    session.optimizers, session.schedulers = call(
        session.moment, "configure_optimizers", partial(configure, session.module)
    )


def lend_log(session: Session) -> None:
    """Let callbacks call ``self.log`` for the length of the run, unless they have a ``log`` of their own."""
    for callback in session.callbacks:
        for name in ("log", "log_dict"):
            if not hasattr(type(callback), name):
                setattr(callback, name, getattr(session.module, name))


def close_log(session: Session) -> None:
    """Nothing can be logged any more; what callbacks borrowed goes back."""
    session.moment.hook = None
    session.moment.begin(None)
    for module in session.shielded:
        module.__dict__.pop("log", None)
    for callback in session.callbacks:
        for name in ("log", "log_dict"):
            if not hasattr(type(callback), name):
                callback.__dict__.pop(name, None)


def hear_stops(session: Session) -> None:
    """Let whoever looks at the run from outside end it, as ``trainer.should_stop`` does."""
    trainer = session.trainer

    def stop() -> None:
        if session.strategy.world_size > 1:
            # Heard on rank 0 alone, in the middle of whatever: all ranks have to stop after the same batch.
            trainer.received_stop = True
        else:
            trainer.should_stop = True
        rank_zero_info("The run was asked to stop: training ends after this batch, or when min_epochs are done.")

    for logger in session.loggers:
        logger.on_stop_asked(stop)


def log_hyperparameters(session: Session) -> None:
    """Send the hyperparameters of module and datamodule, and the graph, to every logger."""
    if not session.loggers or not session.strategy.is_global_zero:
        return
    params = hyperparameters(session) if session.trainer.enable_autolog_hparams else None
    for logger in session.loggers:
        if params:
            logger.log_hyperparams(params)
        logger.log_graph(session.module)
        logger.save()


def hyperparameters(session: Session) -> dict[str, Any]:
    """Module's and datamodule's as one dict. Raises ``RuntimeError`` where they disagree on a value."""
    merged: dict[str, Any] = {}
    for owner in (session.module, session.datamodule):
        if owner is None or not owner._log_hyperparams:
            continue
        for name, value in owner.hparams_initial.items():
            if name in merged and not _same(merged[name], value):
                raise RuntimeError(
                    f"Error while merging hparams: {name!r} is {merged[name]!r} in the module and {value!r} in the "
                    f"datamodule. "
                    "Rename one, or pass `save_hyperparameters(logger=False)` in one of them."
                )
            merged[name] = value
    return merged


def verify(session: Session) -> None:
    """Refuse, before anything runs, what cannot work."""
    module, plan, fn = session.module, session.plan, str(session.trainer.state.fn)
    for name in ("training_epoch_end", "validation_epoch_end", "test_epoch_end"):
        if callable(getattr(module, name, None)):
            new = f"on_{name.removesuffix('ing_epoch_end')}_epoch_end" if name.startswith("training") else f"on_{name}"
            raise NotImplementedError(
                f"`{name}` is not called since Lightning 2.0. Keep the outputs of your steps on the module and use "
                f"`{new}`."
            )
    if fn == "fit":
        _verify_fit(module, plan)
    elif fn in ("validate", "test"):
        step = "validation_step" if fn == "validate" else "test_step"
        if not overrides(module, step, LightningModule):
            raise MisconfigurationException(
                f"`Trainer.{fn}` calls `{step}`, which {type(module).__name__} does not define."
            )
    elif not (overrides(module, "predict_step", LightningModule) or overrides(module, "forward", LightningModule)):
        raise MisconfigurationException("`Trainer.predict` requires `forward` or `predict_step` to be overridden.")


def _verify_fit(module: Any, plan: Any) -> None:
    for name in ("training_step", "configure_optimizers"):
        if not overrides(module, name, LightningModule):
            raise MisconfigurationException(
                f"No `{name}()` method defined. `Trainer.fit` expects it on {type(module).__name__}."
            )
    if not module.automatic_optimization and plan.clips():
        raise MisconfigurationException(
            f"With manual optimization the Trainer clips no gradients. Remove gradient_clip_val="
            f"{plan.gradient_clip_val} from the Trainer and call `self.clip_gradients` in `training_step`."
        )
    if not module.automatic_optimization and plan.accumulate_grad_batches != 1:
        raise MisconfigurationException(
            "With manual optimization the Trainer accumulates no gradients. Remove accumulate_grad_batches="
            f"{plan.accumulate_grad_batches} from the Trainer and step when you want to."
        )


def warn_of_halves(session: Session) -> None:
    """A loader without a step, or a step without a loader, is seldom meant."""
    has_step = overrides(session.module, "validation_step", LightningModule)
    has_data = has_loader(session, "val")
    if has_step and not has_data:
        rank_zero_warn(
            "There is a `validation_step`, but no `val_dataloader` and no loaders were given: nothing is validated."
        )
    if has_data and not has_step:
        rank_zero_warn("There is a `val_dataloader`, but no `validation_step`: nothing is validated.")


def _in_context(step: Callable[..., Any], context: Callable[[], Any]) -> Callable[..., Any]:
    def stepped(*args: Any) -> Any:
        with context():
            return step(*args)

    return stepped


def _batch_only(step: Callable[..., Any]) -> Callable[..., Any]:
    return lambda batch, *rest: step(batch)


def _close_logger(session: Session, logger: Any, status: str) -> None:
    session.closed_loggers.append(logger)
    if not session.strategy.is_global_zero:
        return
    try:
        logger.save()
    finally:
        logger.finalize(status)


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:
        return one is other
