"""What a checkpoint holds, key by key: one function that takes it from a run, and two that put it back."""

import math
import os
import sys
from pathlib import Path
from typing import Any

import torch

from fulgurite.base.arguments import fitting, shown
from fulgurite.base.errors import CheckpointError, MisconfigurationException
from fulgurite.base.folder import is_intact, mentions
from fulgurite.base.format import newest_first
from fulgurite.base.pieces import is_piece, like
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.core.callback import Callback
from fulgurite.core.hparams import pack_hyper_parameters
from fulgurite.runtime import job_files
from fulgurite.runtime.exact import captured, check, of_all_ranks, of_this_rank, restored, train_loader_states
from fulgurite.runtime.hooks import call, overrides
from fulgurite.runtime.layout import LIGHTNING_VERSION, loops_tree, read_progress
from fulgurite.runtime.optim import optimizer_to_device, parameters_of
from fulgurite.runtime.parts import check_kinds, misfit, part, told
from fulgurite.runtime.session import Session

Checkpoint = dict[str, Any]


def capture(session: Session, weights_only: bool = False) -> Checkpoint:
    """Return everything that a run needs to go on; with ``weights_only`` what the model needs to be built again.

    Tensors are the live ones: write the file before training goes on.
    """
    module, moment = session.module, session.moment
    outer = moment.hook
    checkpoint: Checkpoint = {
        "epoch": session.progress.epoch,
        "global_step": session.progress.global_step,
        "pytorch-lightning_version": LIGHTNING_VERSION,
        "state_dict": call(moment, "state_dict", module.state_dict),
        "loops": loops_tree(session.progress, module.automatic_optimization, train_loader_states(session)),
    }
    if not weights_only:
        checkpoint["callbacks"] = _callback_states(session)
        checkpoint["optimizer_states"] = [optimizer.state_dict() for optimizer in session.optimizers]
        checkpoint["lr_schedulers"] = [config.scheduler.state_dict() for config in session.schedulers]
        precision = session.precision.state_dict()
        if precision:
            checkpoint[type(session.precision).__qualname__] = precision
        checkpoint["fulgurite"] = of_all_ranks(session, captured(session))
    for owner in (module, session.datamodule):
        if owner is not None:
            pack_hyper_parameters(owner, checkpoint)
    if session.datamodule is not None:
        state = call(moment, "state_dict", session.datamodule.state_dict)
        if state:
            checkpoint[type(session.datamodule).__qualname__] = state
    if not weights_only:
        _tell_callbacks(session, "on_save_checkpoint", checkpoint)
    call(moment, "on_save_checkpoint", module.on_save_checkpoint, checkpoint)
    moment.hook = outer
    return checkpoint


def restore_model(session: Session, checkpoint: Checkpoint) -> None:
    """Put back what belongs to model, datamodule and callbacks."""
    module, moment, datamodule = session.module, session.moment, session.datamodule
    call(moment, "on_load_checkpoint", module.on_load_checkpoint, checkpoint)
    if "state_dict" not in checkpoint:
        found = ", ".join(map(repr, list(checkpoint)[:8]))
        raise CheckpointError(
            f"{told(session, 'The checkpoint')} has no 'state_dict', which every checkpoint of a Trainer has; found: "
            f"{found}. If it holds weights alone, put them into the model with "
            "`model.load_state_dict(torch.load(path))`, and leave out ckpt_path."
        )
    with part(session, "state_dict", module.load_state_dict):
        weights = checkpoint["state_dict"]
        if session.strategy.sharded:
            own = module.state_dict()
            weights = {name: like(own.get(name), value) for name, value in weights.items()}
        module.load_state_dict(weights, strict=module.strict_loading)
    if datamodule is not None and type(datamodule).__qualname__ in checkpoint:
        call(moment, "load_state_dict", datamodule.load_state_dict, checkpoint[type(datamodule).__qualname__])
    _tell_callbacks(session, "on_load_checkpoint", checkpoint)
    if session.trainer.state.fn == "fit" or not session.progress.epochs_started:
        # After a fit, callbacks know more than the file of one epoch does: testing the best must not set them back.
        _load_callback_states(session, checkpoint.get("callbacks", {}))


def restore_training(session: Session, checkpoint: Checkpoint) -> None:
    """Put back counters, optimizers, schedulers and the scaler. Raises ``KeyError`` for a file of weights only."""
    if "optimizer_states" not in checkpoint or "lr_schedulers" not in checkpoint:
        raise KeyError(
            f"{told(session, 'The checkpoint')} holds weights, but no optimizer and scheduler states to go on from: it "
            "was saved with weights_only or save_weights_only. Load it with "
            f"`{type(session.module).__name__}.load_from_checkpoint`, and call `fit` without ckpt_path."
        )
    name = type(session.precision).__qualname__
    if name in checkpoint:
        with part(session, name, session.precision.load_state_dict):
            session.precision.load_state_dict(checkpoint[name])
    with part(session, "progress"):
        _restore_progress(session, checkpoint)
    check_kinds(session, "", checkpoint, {"optimizer_states": list, "lr_schedulers": list})
    _check_counts("optimizer", session.optimizers, checkpoint["optimizer_states"])
    for optimizer, state in zip(session.optimizers, checkpoint["optimizer_states"], strict=True):
        with part(session, "optimizer_states", optimizer.load_state_dict):
            if session.strategy.sharded:
                state = _in_pieces(optimizer, state)
            _load_optimizer(optimizer, state)
            if not session.strategy.sharded and not session.strategy.offloads:
                # There torch has put it where each parameter lies, which may not be the device that computes.
                optimizer_to_device(optimizer, session.device)
    for config, state in zip(session.schedulers, checkpoint["lr_schedulers"], strict=False):
        with part(session, "lr_schedulers", config.scheduler.load_state_dict):
            config.scheduler.load_state_dict(state)


def find(trainer: Any, ckpt_path: str | os.PathLike[str] | None, has_model: bool) -> str | os.PathLike[str] | None:
    """Turn "best", "last", "hpc" or a path into the path to load; None for nothing.

    Without a model and without a path, evaluation takes the best checkpoint of the last ``fit``.
    """
    trains = trainer.state.fn == "fit"
    trainer.strategy.checkpoint_io.wait()
    if not (isinstance(ckpt_path, str) and ckpt_path == "last") and job_files.goes_on(trainer):
        ckpt_path = job_files.instead_of(trainer, ckpt_path)
    if ckpt_path is None:
        if has_model or trains or not trainer.checkpoint_callbacks:
            return None
        rank_zero_warn(
            f"`.{trainer.state.fn}(ckpt_path=None)` was called without a model: the best checkpoint of the previous "
            f"`fit` call "
            "will be used. Pass the model to use it as it is, or ckpt_path='best' to say so."
        )
        ckpt_path = "best"
    ckpt_path = fitting(ckpt_path, str | os.PathLike[str], f"Trainer.{trainer.state.fn}(ckpt_path={{}})")
    if ckpt_path == "best":
        return _best(trainer)
    if ckpt_path == "last":
        return _last(trainer)
    if ckpt_path == job_files.WORD:
        return _of_a_job(trainer)
    if isinstance(ckpt_path, str) and ckpt_path.startswith("registry"):
        raise MisconfigurationException(
            f"ckpt_path={ckpt_path!r} is not supported: pass a path, 'last', 'best' or 'hpc'."
        )
    return ckpt_path


def _of_a_job(trainer: Any) -> str:
    path = job_files.newest(trainer)
    if path is None:
        raise ValueError(
            f"`.{trainer.state.fn}(ckpt_path='hpc')`: there is no whole hpc_ckpt_N.ckpt, which a job leaves when its "
            f"time is up, in {str(job_files.folder(trainer))!r}. Pass a path, or the default_root_dir of that job."
        )
    return str(path)


def _best(trainer: Any) -> str:
    callback = trainer.checkpoint_callback
    if callback is None:
        raise ValueError(
            f"`.{trainer.state.fn}(ckpt_path='best')`: the Trainer has no ModelCheckpoint that could know the best. "
            "Add one, or pass a path."
        )
    if not getattr(callback, "best_model_path", ""):
        hint = " fast_dev_run saves no checkpoints." if trainer.fast_dev_run else ""
        raise ValueError(
            f"`.{trainer.state.fn}(ckpt_path='best')`: ModelCheckpoint has saved nothing yet.{hint} "
            "Call `fit` first, or pass the path of a file."
        )
    return callback.best_model_path


def _last(trainer: Any) -> str | None:
    """The newest file in the folders of the checkpoint callbacks that is whole."""
    candidates: set[Path] = set()
    for callback in trainer.checkpoint_callbacks:
        folder, known = callback.folder(trainer), getattr(callback, "last_model_path", "")
        candidates |= set(Path(folder).glob("*.ckpt")) if folder and Path(folder).is_dir() else set()
        candidates |= {Path(known)} if known and Path(known).exists() else set()
    if job_files.goes_on(trainer):
        candidates |= set(job_files.found(trainer))
    weights_alone: list[str] = []
    for path in newest_first(candidates):
        if not is_intact(path):
            fault = "is damaged or cut short"
        elif trainer.state.fn == "fit" and not mentions(path, "optimizer_states"):
            fault = "holds weights alone"
            weights_alone.append(str(path))
        else:
            return str(path)
        rank_zero_warn(f"The checkpoint {str(path)!r} {fault}: ckpt_path='last' takes the one before.")
    if weights_alone:
        # Its error says that nothing can go on from there; a fresh start would hide that.
        return weights_alone[0]
    if trainer.state.fn != "fit":
        raise ValueError(
            f"`.{trainer.state.fn}(ckpt_path='last')`: there is no checkpoint in the folders of this Trainer's "
            "checkpoint callbacks. Pass the path of a file, or leave it out to take the model as it is."
        )
    rank_zero_warn(
        f"`.{trainer.state.fn}(ckpt_path='last')` is set, but there is no last checkpoint: starting from scratch. "
        "ModelCheckpoint(save_last=True) writes one."
    )
    return None


def read(session: Session, weights_only: bool | None) -> Checkpoint | None:
    """Read the checkpoint that the Trainer goes on from, if there is one, through the strategy, and say so."""
    path = session.trainer.ckpt_path
    if path is None:
        return None
    rank_zero_info(f"Restoring states from the checkpoint path at {path}")
    checkpoint: Checkpoint = session.strategy.load_checkpoint(path, weights_only=weights_only)
    check_kinds(session, "", checkpoint, {"fulgurite": (dict, type(None)), "loops": dict})
    if session.trainer.state.fn == "fit":
        check(session, checkpoint.get("fulgurite") or {})
    return checkpoint


def _restore_progress(session: Session, checkpoint: Checkpoint) -> None:
    plan, progress = session.plan, read_progress(checkpoint, session.module.automatic_optimization)
    if plan.max_epochs != -1 and progress.epoch > plan.max_epochs:
        raise MisconfigurationException(
            f"The checkpoint was written after {progress.epoch} epochs, more than max_epochs={plan.max_epochs}. "
            "Raise max_epochs to train on."
        )
    for name in progress.__slots__:
        setattr(session.progress, name, getattr(progress, name))
    session.resumed = progress.inside_epoch
    data = of_this_rank(session, checkpoint.get("fulgurite") or {})
    restored(session, data, _stored_loader_states(checkpoint))


def _stored_loader_states(checkpoint: Checkpoint) -> list[Any]:
    fit_loop = checkpoint.get("loops", {}).get("fit_loop", {})
    return fit_loop.get("state_dict", {}).get("combined_loader") or []


def _callback_states(session: Session) -> dict[str, Any]:
    states = {
        callback.state_key: call(session.moment, "state_dict", callback.state_dict) for callback in session.callbacks
    }
    return {key: state for key, state in states.items() if state}


def _load_callback_states(session: Session, states: Any) -> None:
    if not isinstance(states, dict | None):
        raise misfit(session, "callbacks", f"it is {shown(states)}, and a dict was expected")
    states = states or {}
    unknown = set(states) - {callback.state_key for callback in session.callbacks}
    if unknown and session.trainer.state.fn == "fit":
        rank_zero_warn(
            "The checkpoint holds the state of callbacks that this Trainer does not have: "
            f"{', '.join(sorted(map(repr, unknown)))}. Add them to the Trainer to go on with what they remember."
        )
    for callback in session.callbacks:
        if callback.state_key in states:
            with part(session, f"callbacks/{callback.state_key}", callback.load_state_dict):
                call(session.moment, "load_state_dict", callback.load_state_dict, states[callback.state_key])


def _tell_callbacks(session: Session, hook: str, checkpoint: Checkpoint) -> None:
    for callback in session.callbacks:
        if overrides(callback, hook, Callback):
            call(session.moment, hook, getattr(callback, hook), session.trainer, session.module, checkpoint)


def _load_optimizer(optimizer: Any, state: dict[str, Any]) -> None:
    """Put back the state of an optimizer. Raises ``CheckpointError`` for that of one with other settings."""
    both = optimizer.param_groups, state["param_groups"]
    mine, its = ({name for group in groups for name in group} for groups in both)
    if mine - its and its - mine:
        raise CheckpointError(
            f"The checkpoint holds the state of another kind of optimizer than {type(optimizer).__name__}: it has "
            f"{_listed(its - mine)}, and lacks {_listed(mine - its)}. Configure the optimizer that was used, or load "
            "the weights alone with `load_from_checkpoint` and call `fit` without ckpt_path."
        )
    for own, its in zip(*both, strict=False):
        # Settings that an older torch did not know are as they were configured.
        its.update({name: own[name] for name in optimizer.defaults.keys() & own.keys() - its.keys()})
        if "foreach" in own and isinstance(its.get("foreach", ""), bool | None):
            # No state, but a way to compute, which another model or machine had.
            its["foreach"] = own["foreach"]
        for name in optimizer.defaults.keys() & own.keys():
            _check_setting(optimizer, name, own[name], its[name])
    optimizer.load_state_dict(state)


def _in_pieces(optimizer: Any, state: dict[str, Any]) -> dict[str, Any]:
    """The state with what belongs to a parameter cut as that is."""
    memory = dict(state["state"])
    for at, parameter in enumerate(parameters_of(optimizer)):
        if is_piece(parameter) and at in memory:
            memory[at] = {name: like(parameter, value) for name, value in memory[at].items()}
    return {**state, "state": memory}


def _check_setting(optimizer: Any, name: str, own: Any, its: Any) -> None:
    """Numbers in the place of numbers: torch finds anything else out in the first step, or never."""
    of_tensor = isinstance(its, torch.Tensor)
    a_number = its.numel() == 1 if of_tensor else isinstance(its, int | float)
    if isinstance(own, int | float):
        fits = a_number and (abs(its) <= sys.maxsize or its in (math.inf, -math.inf))
    else:
        # Such as `foreach`, which torch asks whether it is true.
        fits = own is not None or a_number or not of_tensor
    if not fits:
        expected = "None" if own is None else f"a number such as {own!r}"
        raise CheckpointError(
            f"The checkpoint holds {name}={shown(its)} for {type(optimizer).__name__}, where {expected} was expected: "
            "it is damaged. Load the weights alone with `load_from_checkpoint`."
        )


def _listed(names: set[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


def _check_counts(what: str, have: list[Any], stored: list[Any]) -> None:
    if len(have) != len(stored):
        raise CheckpointError(
            f"The checkpoint holds the state of {len(stored)} {what}(s), but `configure_optimizers` returned "
            f"{len(have)}."
        )
