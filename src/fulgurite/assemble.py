"""Strings and flags become objects and a Plan. The only module that knows every concrete class."""

import ast
import difflib
import functools
import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from numbers import Integral
from typing import Any, TypeVar

from fulgurite.base.arguments import shown
from fulgurite.base.cadence import parse_duration
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_info, rank_zero_warn
from fulgurite.core.callback import Callback
from fulgurite.core.logger import DummyLogger, Logger
from fulgurite.core.profiler import PassThroughProfiler, Profiler
from fulgurite.runtime.asked import MOST, listed
from fulgurite.runtime.loaders import check_limit
from fulgurite.runtime.plan import Plan

Arguments = Mapping[str, Any]
T = TypeVar("T")

PROFILERS = {"simple": "SimpleProfiler", "advanced": "AdvancedProfiler", "pytorch": "PyTorchProfiler"}
MOVED = {
    "gpus": "accelerator='gpu', devices=...", "num_processes": "devices", "tpu_cores": "accelerator='tpu', devices=...",
    "resume_from_checkpoint": "trainer.fit(..., ckpt_path=...)", "checkpoint_callback": "enable_checkpointing",
    "progress_bar_refresh_rate": "callbacks=[TQDMProgressBar(refresh_rate=...)]",
    "weights_summary": "enable_model_summary",
    "auto_lr_find": "Tuner(trainer).lr_find(model) or callbacks=[LearningRateFinder()]",
    "auto_scale_batch_size": "Tuner(trainer).scale_batch_size(model) or callbacks=[BatchSizeFinder()]",
    "amp_backend": "precision", "amp_level": "precision", "track_grad_norm": "a callback with on_before_optimizer_step",
    "replace_sampler_ddp": "use_distributed_sampler",
    "flush_logs_every_n_steps": "CSVLogger(flush_logs_every_n_steps=...)",
    "stochastic_weight_avg": "callbacks=[StochasticWeightAveraging(...)]", "epochs": "max_epochs",
    "process_position": "callbacks=[TQDMProgressBar(process_position=...)]", "ipus": "accelerator, devices",
    "distributed_backend": "strategy", "weights_save_path": "callbacks=[ModelCheckpoint(dirpath=...)]",
    "auto_select_gpus": "devices='auto'", "log_gpu_memory": "callbacks=[DeviceStatsMonitor()]",
    "terminate_on_nan": "callbacks=[NonFiniteGuard()]",
    "reload_dataloaders_every_epoch": "reload_dataloaders_every_n_epochs=1",
    "multiple_trainloader_mode": "CombinedLoader(loaders, mode=...) for the train loaders",
    "move_metrics_to_cpu": "self.log(name, value.cpu())", "truncated_bptt_steps": "a loop of your own in training_step",
    "prepare_data_per_node": "the attribute prepare_data_per_node of module or datamodule",
    "model_registry": "trainer.fit(..., ckpt_path=...) with a path",
}  # fmt: skip
"""Arguments of other releases and wishful names, with what to use instead."""


UNSET: Arguments = {
    "max_epochs": None, "min_epochs": None, "max_steps": -1, "min_steps": None, "log_every_n_steps": None,
    "reload_dataloaders_every_n_epochs": 0, "num_sanity_val_steps": None, "accumulate_grad_batches": 1,
    "check_val_every_n_epoch": 1, "gradient_clip_val": None, "gradient_clip_algorithm": None,
}  # fmt: skip
"""The numbers that `_check_numbers` looks at, as a Trainer has them that nobody told anything."""


def from_environment(init: Callable[..., T]) -> Callable[..., T]:
    """Let ``PL_TRAINER_<ARGUMENT>`` set what the caller leaves out, and name the nearest argument for a wrong one."""
    known = [name for name in inspect.signature(init).parameters if name != "self"]

    @functools.wraps(init)
    def with_environment(self: Any, *args: Any, **kwargs: Any) -> T:
        for name in kwargs:
            if name not in known:
                raise TypeError(_unknown(name, known))
        for name in known:
            text = os.environ.get(f"PL_TRAINER_{name.upper()}")
            if text is not None and name not in kwargs:
                kwargs[name] = _literal(text)
        return init(self, *args, **kwargs)

    return with_environment


SWITCHES = (
    "inference_mode", "use_distributed_sampler", "detect_anomaly", "barebones", "sync_batchnorm",
    "enable_autolog_hparams", "exact_accumulation", "legacy_validation_axis", "enable_checkpointing",
    "enable_progress_bar", "enable_model_summary",
)  # fmt: skip
"""Arguments that are on or off; None leaves some of them to the default."""


def plan(given: Arguments) -> Plan:
    """Validate the numbers and return what they amount to; raises where one cannot be meant."""
    given = _fast_dev(_barebones(_whole_numbers(given)))
    _check_numbers(given)
    _check_switches(given)
    for name in ("train", "val", "test", "predict"):
        check_limit(_or(given[f"limit_{name}_batches"], 1.0), f"limit_{name}_batches")
    check_limit(given["overfit_batches"], "overfit_batches")
    interval, seconds = _validation_interval(given)
    overfit = given["overfit_batches"]
    limits = {
        f"limit_{name}_batches": _or(given[f"limit_{name}_batches"], 1.0)
        for name in ("train", "val", "test", "predict")
    }
    if overfit:
        limits["limit_train_batches"] = limits["limit_val_batches"] = overfit
        rank_zero_warn(
            "overfit_batches is set: the train data is read in order, without shuffling, and only its beginning."
        )
    sanity = _or(given["num_sanity_val_steps"], 2)
    return Plan(
        max_epochs=_max_epochs(given),
        min_epochs=1 if given["min_epochs"] is None and given["min_steps"] is not None else given["min_epochs"],
        max_steps=given["max_steps"],
        min_steps=given["min_steps"],
        overfit_batches=overfit,
        fast_dev_run=given["fast_dev_run"],
        val_check_interval=interval,
        val_check_seconds=seconds,
        check_val_every_n_epoch=given["check_val_every_n_epoch"],
        num_sanity_val_steps=math.inf if sanity == -1 else sanity,
        accumulate_grad_batches=given["accumulate_grad_batches"],
        exact_accumulation=given["exact_accumulation"],
        gradient_clip_val=given["gradient_clip_val"],
        gradient_clip_algorithm=given["gradient_clip_algorithm"] and str(given["gradient_clip_algorithm"]).lower(),
        log_every_n_steps=_or(given["log_every_n_steps"], 50),
        reload_dataloaders_every_n_epochs=given["reload_dataloaders_every_n_epochs"],
        use_distributed_sampler=given["use_distributed_sampler"],
        inference_mode=given["inference_mode"],
        detect_anomaly=given["detect_anomaly"],
        barebones=given["barebones"],
        evaluation_rows_at_train_step=not given["legacy_validation_axis"],
        **limits,
    )


def replanned(plan: Plan, name: str, value: Any) -> Plan:
    """Return the plan with one argument changed. Raises as the constructor does."""
    if name in ("val_check_interval", "check_val_every_n_epoch"):
        return _replanned_validation(plan, name, value)
    if name.startswith("limit_"):
        value = _or(value, 1.0)
        check_limit(value, name)
    elif name == "max_epochs":
        _check_int(name, value, -1, required=True)
    elif name == "num_sanity_val_steps" and value in (-1, math.inf):
        value = math.inf
    elif name in UNSET:
        _check_numbers({**UNSET, name: value})
    return replace(plan, **{name: value})


def callbacks(given: Arguments) -> list[Callback]:
    """Return the user's callbacks and the default ones: timer, bar, summary, and checkpoints last."""
    wanted = given["callbacks"]
    mine = [] if wanted is None or wanted is False else listed(wanted, Callback)
    for callback in mine:
        if not isinstance(callback, Callback):
            raise MisconfigurationException(
                f"callbacks={shown(wanted)}: {_named(callback)} is no Callback. {_way_to_a_callback(callback)}"
            )
    mine += _timer(given, mine) + _bar(given, mine) + _summary(given, mine) + _checkpoint(given, mine)
    check_state_keys(mine)
    return in_order(mine)


def loggers(given: Arguments, root: str) -> list[Logger]:
    """Return the user's loggers, or a TrackLogger: the one that needs no account and no extra."""
    wanted = given["logger"]
    if given["barebones"] or wanted is False:
        return []
    found = None if wanted is None or wanted is True else listed(wanted, Logger)
    if found == []:
        return []
    if given["fast_dev_run"]:
        return [DummyLogger()]
    if found is None:
        from fulgurite.loggers.track import default_logger

        return [default_logger(root)]
    for logger in found:
        if not isinstance(logger, Logger):
            raise MisconfigurationException(
                f"logger={shown(wanted)}: a Logger such as TrackLogger(...) or WandbLogger(...), a list of them, True "
                "or False was expected."
            )
    return found


def profiler(given: Arguments) -> Profiler:
    """Return the profiler that a word or an instance names; without one, one that measures nothing."""
    wanted = given["profiler"]
    if wanted is None:
        return PassThroughProfiler()
    if isinstance(wanted, Profiler):
        return wanted
    if isinstance(wanted, str) and wanted in PROFILERS:
        from fulgurite import profilers

        return getattr(profilers, PROFILERS[wanted])()
    raise MisconfigurationException(
        f"profiler={wanted!r}: one of {', '.join(map(repr, PROFILERS))} or an object of a subclass of "
        "`fulgurite.profilers.Profiler` was expected."
    )


def with_model_callbacks(have: list[Callback], brought: Any) -> list[Callback]:
    """Return the trainer's callbacks with those of ``configure_callbacks``, which replace others of their type."""
    extra = [brought] if isinstance(brought, Callback) else list(brought or [])
    if not extra:
        return have
    types = {type(callback) for callback in extra}
    replaced = [callback for callback in have if type(callback) in types]
    if replaced:
        names = ", ".join(sorted({type(callback).__name__ for callback in replaced}))
        rank_zero_info(f"Callbacks returned from `configure_callbacks` take the place of the Trainer's: {names}.")
    merged = [callback for callback in have if type(callback) not in types] + extra
    check_state_keys(merged)
    return in_order(merged)


def in_order(found: list[Callback]) -> list[Callback]:
    """Callbacks that search for a setting come first, those that write checkpoints last; the others stay as given."""
    from fulgurite.callbacks.checkpoint import Checkpoint

    return sorted(found, key=lambda one: isinstance(one, Checkpoint) - bool(getattr(one, "runs_first", False)))


def check_state_keys(found: list[Callback]) -> None:
    """Two callbacks with a state need two keys, or a checkpoint would keep only one."""
    keys: set[str] = set()
    for callback in found:
        stateful = type(callback).state_dict is not Callback.state_dict
        if stateful and callback.state_key in keys:
            raise RuntimeError(
                f"Two callbacks of type `{type(callback).__name__}` would keep their state under one state_key, "
                f"{callback.state_key!r}. Override `state_key`, or give them different arguments."
            )
        keys.add(callback.state_key)


def _named(thing: Any) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else f"{type(thing).__name__} {shown(thing)}"


def _way_to_a_callback(thing: Any) -> str:
    if isinstance(thing, type) and issubclass(thing, Callback):
        return f"Pass an object: `{thing.__name__}(...)`."
    return "Pass an object of a subclass of `fulgurite.Callback`."


def _timer(given: Arguments, have: list[Callback]) -> list[Callback]:
    if given["max_time"] is None:
        return []
    from fulgurite.callbacks.timer import Timer

    if any(isinstance(callback, Timer) for callback in have):
        rank_zero_info("`Trainer(max_time=...)` is set and so is a Timer callback: the callback is used.")
        return []
    return [Timer(duration=parse_duration(given["max_time"], "Trainer(max_time=...)"), interval="step")]


def _bar(given: Arguments, have: list[Callback]) -> list[Callback]:
    from fulgurite.callbacks.progress.base import ProgressBar

    bars = [callback for callback in have if isinstance(callback, ProgressBar)]
    off = _switched_off(given, "enable_progress_bar")
    if len(bars) > 1:
        raise MisconfigurationException(f"There is room for one progress bar, but {len(bars)} were given.")
    if bars and off:
        raise MisconfigurationException(f"{off}, but `{type(bars[0]).__name__}` is among the callbacks.")
    if bars or off:
        return []
    from fulgurite.callbacks.progress.tqdm import TQDMProgressBar

    return [TQDMProgressBar()]


def _summary(given: Arguments, have: list[Callback]) -> list[Callback]:
    if given["enable_model_summary"] is False or given["barebones"]:
        return []
    from fulgurite.callbacks.model_summary import ModelSummary

    return [] if any(isinstance(callback, ModelSummary) for callback in have) else [ModelSummary()]


def _checkpoint(given: Arguments, have: list[Callback]) -> list[Callback]:
    from fulgurite.callbacks.checkpoint import Checkpoint
    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint

    mine = [callback for callback in have if isinstance(callback, Checkpoint)]
    off = _switched_off(given, "enable_checkpointing")
    if mine and off:
        raise MisconfigurationException(
            f"{off}, but `{type(mine[0]).__name__}` is among the callbacks. Leave one of them out."
        )
    return [] if mine or off else [ModelCheckpoint()]


def _switched_off(given: Arguments, name: str) -> str:
    """How the user has switched off what ``name`` enables; empty if it is on."""
    return "barebones=True" if given["barebones"] else f"{name}=False" if given[name] is False else ""


def _replanned_validation(plan: Plan, name: str, value: Any) -> Plan:
    given: dict[str, Any] = {name: getattr(plan, name) for name in ("val_check_interval", "check_val_every_n_epoch")}
    if plan.val_check_seconds is not None:
        given["val_check_interval"] = timedelta(seconds=plan.val_check_seconds)
    given[name] = value
    _check_int("check_val_every_n_epoch", given["check_val_every_n_epoch"], 1)
    interval, seconds = _validation_interval(given)
    every = given["check_val_every_n_epoch"]
    return replace(plan, val_check_interval=interval, val_check_seconds=seconds, check_val_every_n_epoch=every)


def _check_numbers(given: Arguments) -> None:
    for name, least in (("max_epochs", -1), ("min_epochs", 0), ("min_steps", 0)):
        _check_int(name, given[name], least)
    _check_int("max_steps", given["max_steps"], -1, required=True)
    for name, least in (
        ("log_every_n_steps", 0),
        ("num_sanity_val_steps", -1),
    ):
        _check_int(name, given[name], least)
    _check_int("reload_dataloaders_every_n_epochs", given["reload_dataloaders_every_n_epochs"], 0, required=True)
    _check_int("accumulate_grad_batches", given["accumulate_grad_batches"], 1, required=True)
    _check_int("check_val_every_n_epoch", given["check_val_every_n_epoch"], 1)
    value, algorithm = given["gradient_clip_val"], given["gradient_clip_algorithm"]
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"gradient_clip_val={value!r}: a number or None was expected, not {type(value).__name__}.")
    if value is not None and not value >= 0:
        raise MisconfigurationException(
            f"gradient_clip_val={value!r}: must not be negative. Leave it out to clip nothing."
        )
    if algorithm is not None and str(algorithm).lower() not in ("norm", "value"):
        raise MisconfigurationException(f"gradient_clip_algorithm={algorithm!r} is unknown. Choose 'norm' or 'value'.")


def _whole_numbers(given: Arguments) -> Arguments:
    """Take NumPy's integers as ints, and ``max_steps=1e6`` as what it means."""
    plain = {
        name: int(value) for name, value in given.items() if isinstance(value, Integral) and type(value) is not bool
    }
    for name in ("max_epochs", "min_epochs", "max_steps", "min_steps"):
        value = given[name]
        if isinstance(value, float) and value.is_integer():
            plain[name] = int(value)
    return {**given, **plain}


def _check_switches(given: Arguments) -> None:
    for name in SWITCHES:
        value, may_be_left_out = given[name], name.startswith("enable_") and name != "enable_autolog_hparams"
        if not isinstance(value, bool) and not (value is None and may_be_left_out):
            kind = type(value).__name__
            raise MisconfigurationException(f"{name}={value!r}: True or False was expected, not {kind}.")


def _check_int(name: str, value: Any, least: int, required: bool = False) -> None:
    if value is None and not required:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise MisconfigurationException(
            f"{name}={value!r}: an int was expected, {least} or more, not {type(value).__name__}."
        )
    if value < least:
        raise MisconfigurationException(f"{name}={value}: must be {least} or more.")
    if value > MOST:
        raise MisconfigurationException(f"{name}={value}: must be {MOST} or less. -1, where it is allowed, has no end.")


def _validation_interval(given: Arguments) -> tuple[int | float, float | None]:
    interval, every = _or(given["val_check_interval"], 1.0), given["check_val_every_n_epoch"]
    if isinstance(interval, str | timedelta | Mapping):
        return 1.0, parse_duration(interval, "Trainer(val_check_interval=...)").total_seconds()
    if isinstance(interval, bool) or not isinstance(interval, int | float):
        raise MisconfigurationException(
            f"val_check_interval={interval!r}: a float (share of the epoch), an int (train batches) or a duration "
            f"was expected."
        )
    if isinstance(interval, int) and interval < 1 or isinstance(interval, float) and not 0.0 <= interval <= 1.0:
        raise MisconfigurationException(
            f"val_check_interval={interval}: a float must lie in [0.0, 1.0], an int be 1 or more."
        )
    if every is None and isinstance(interval, float):
        raise MisconfigurationException(
            "check_val_every_n_epoch=None counts batches across epochs, so val_check_interval must be an int, "
            f"not {interval!r}."
        )
    return interval, None


def _max_epochs(given: Arguments) -> int:
    if given["max_epochs"] is not None:
        return given["max_epochs"]
    return 1000 if unsaid_end(given) else -1


def unsaid_end(given: Arguments) -> bool:
    """Whether nothing was said of how long to train."""
    return given["max_epochs"] is None and given["max_steps"] == -1 and given["max_time"] is None


def _fast_dev(given: Arguments) -> Arguments:
    runs = given["fast_dev_run"]
    if not isinstance(runs, bool) and (not isinstance(runs, int) or not 0 <= runs <= MOST):
        raise MisconfigurationException(
            f"fast_dev_run={runs!r}: True, False or a number of batches from 0 was expected."
        )
    if not runs:
        return given
    batches = int(runs)
    rank_zero_info(
        f"fast_dev_run: {batches} batch(es) of each stage; nothing is logged to loggers and nothing is saved."
    )
    limits = {f"limit_{name}_batches": batches for name in ("train", "val", "test", "predict")}
    fixed = {"max_epochs": 1, "max_steps": batches, "num_sanity_val_steps": 0, "val_check_interval": 1.0}
    return {**given, **limits, **fixed, "check_val_every_n_epoch": 1}


def _barebones(given: Arguments) -> Arguments:
    if not given["barebones"]:
        return given
    clashes = {
        "logger": (None, False), "enable_checkpointing": (None, False), "enable_progress_bar": (None, False),
        "enable_model_summary": (None, False), "num_sanity_val_steps": (None, 0), "log_every_n_steps": (None, 0),
        "fast_dev_run": (False,), "detect_anomaly": (False,), "profiler": (None,),
    }  # fmt: skip
    for name, allowed in clashes.items():
        if given[name] not in allowed:
            raise ValueError(
                f"Trainer(barebones=True, {name}={given[name]!r}): barebones leaves that out. Drop one of them."
            )
    return {**given, "num_sanity_val_steps": 0, "log_every_n_steps": 0}


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _unknown(name: str, known: list[str]) -> str:
    if name in MOVED:
        return f"Trainer has no argument {name!r}. Use {MOVED[name]}."
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else f" It takes: {', '.join(known)}."
    return f"Trainer.__init__() got an unexpected keyword argument {name!r}.{hint}"
