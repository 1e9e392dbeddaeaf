"""What a logger is: where metrics, hyperparameters and files of a run go."""

import argparse
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from fulgurite.base.rank import rank_zero_only, warn_once

if TYPE_CHECKING:
    from torch import Tensor

    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint
    from fulgurite.core.module import LightningModule

LARGEST_LISTED_ARRAY = 64


class Logger(ABC):
    """Base of all loggers. A subclass says its ``name`` and ``version`` and takes metrics and hyperparameters.

    Nothing may be written before something is logged: a logger is made, copied and pickled freely.
    """

    @property
    @abstractmethod
    def name(self) -> str | None:
        """The experiment's name; the second part of the run's folder."""

    @property
    @abstractmethod
    def version(self) -> int | str | None:
        """The run's number or name; the third part of the run's folder."""

    @property
    def save_dir(self) -> str | None:
        """The folder under which this logger writes, None for one that writes nowhere."""
        return None

    @property
    def root_dir(self) -> str | None:
        """The folder of all versions, None if there is none."""
        return None

    @property
    def log_dir(self) -> str | None:
        """The folder of this run, None if there is none."""
        return None

    @property
    def group_separator(self) -> str:
        """What stands between a group and a name, as in ``train/loss``."""
        return "/"

    @property
    def experiment(self) -> Any:
        """The object behind this logger; a silent stand-in where there is none."""
        return DummyExperiment()

    @abstractmethod
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Write one row. Values are plain numbers."""

    @abstractmethod
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Record what the run was started with; a dict, a Namespace or a dataclass."""

    def log_graph(self, model: "LightningModule", input_array: "Tensor | None" = None) -> None:
        """Draw the model, if this logger can."""

    def state_dict(self) -> dict[str, Any]:
        """Where the rows stand, for a checkpoint that is being written; what was logged so far is durable then."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where the rows stood: those that came after it come again. Called before a fit that goes on."""

    def on_stop_asked(self, stop: Callable[[], object]) -> None:
        """Call ``stop``, from any thread, when somebody asks the run to end; before each fit. Most can't be asked."""

    def save(self) -> None:
        """Write what is still in memory. Called at epoch ends and at the end, never per row."""

    def finalize(self, status: str) -> None:
        """Finish; ``status`` is "success", "finished" or "failed". Logging may go on after it (a next fit, a test)."""
        self.save()

    def after_save_checkpoint(self, checkpoint_callback: "ModelCheckpoint") -> None:
        """Called after a checkpoint was written, with the callback that wrote it."""

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        """Log a list of pictures: tensors (channels first), arrays (channels last), PIL images, figures or paths.

        Each further argument is a list with one entry per picture; every logger with pictures knows ``caption``.
        Without ``step`` it is the last row's. A logger that has no place for pictures says so once and goes on.
        """
        self._has_no_place("pictures", "log_image")

    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table from ``columns`` and ``data`` (rows) or from a data frame.

        Cells are numbers and text. A PIL image or a tensor (channels, height, width) is shown as a picture where the
        logger can, and told by its size elsewhere.
        """
        self._has_no_place("tables", "log_table")

    def log_text(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log text as a table; a single text is ``columns=["text"], data=[[text]]``."""
        self.log_table(key, columns, data, dataframe, step)

    def _has_no_place(self, things: str, method: str) -> None:
        warn_once(
            f"{type(self).__name__} has no place for {things}, so that {method} does nothing. Add a logger that has: "
            "TrackLogger, TensorBoardLogger, MLFlowLogger, CometLogger or WandbLogger."
        )


class DummyExperiment:
    """Takes every call, attribute and item (``experiment.config.update(...)``), and does nothing."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> "DummyExperiment":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, index: Any) -> "DummyExperiment":
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        pass


class DummyLogger(Logger):
    """Stands where a logger is expected and nothing shall be logged, as under ``fast_dev_run``."""

    def __init__(self) -> None:
        self._experiment = DummyExperiment()

    @property
    def name(self) -> str:
        return "DummyLogger"

    @property
    def version(self) -> str:
        return ""

    @property
    def experiment(self) -> DummyExperiment:
        return self._experiment

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        pass

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        pass

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        pass

    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        pass

    def __getitem__(self, index: int) -> DummyExperiment:
        return self._experiment

    def __iter__(self) -> Iterator["DummyLogger"]:
        yield self

    def __getattr__(self, name: str) -> DummyExperiment:
        # Users call their logger's own methods (log_image, watch): a stand-in must take those too.
        if name.startswith("_"):
            raise AttributeError(name)
        return self._experiment


def rank_zero_experiment(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``fn``'s experiment on rank 0 and a silent stand-in elsewhere; goes under ``@property``."""

    @functools.wraps(fn)
    def experiment(self: Logger) -> Any:
        return fn(self) if rank_zero_only.rank == 0 else DummyExperiment()  # type: ignore[attr-defined]

    return experiment


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


def merge_dicts(
    dicts: Sequence[Mapping[str, Any]],
    agg_key_funcs: Mapping[str, Any] | None = None,
    default_func: Callable[[Sequence[float]], float] = mean,
) -> dict[str, Any]:
    """Merge dicts of numbers: each key's values meet in its own function or in the default, nested dicts likewise."""
    functions = agg_key_funcs or {}
    merged: dict[str, Any] = {}
    for key in dict.fromkeys(key for each in dicts for key in each):
        values = [each[key] for each in dicts if key in each]
        own = functions.get(key)
        if isinstance(values[0], Mapping):
            merged[key] = merge_dicts(values, own, default_func)
        else:
            merged[key] = (own or default_func)(values)
    return merged


def plain_number(value: Any) -> Any:
    """A one-element tensor or array as a Python number; everything else as it is."""
    return value.item() if hasattr(value, "item") else value


def prefixed(metrics: Mapping[str, Any], prefix: str, separator: str = "-") -> dict[str, Any]:
    """The metrics under ``prefix``; a plain copy where it is empty."""
    return {f"{prefix}{separator}{name}": value for name, value in metrics.items()} if prefix else dict(metrics)


def plain_params(params: Any) -> dict[str, Any]:
    """Hyperparameters as nested dicts and lists of None, bool, int, float and str; any file format can hold those.

    A mapping, a Namespace or a dataclass is taken apart, None is empty. Functions and classes become their names.
    """
    if params is None:
        return {}
    taken_apart = _plain(params)
    if not isinstance(taken_apart, dict):
        raise TypeError(f"Hyperparameters must be a dict, a Namespace or a dataclass, not {type(params).__name__}.")
    return taken_apart


def flatten(params: Mapping[str, Any], separator: str = "/") -> dict[str, Any]:
    """Nested dicts as one level: ``{"a": {"b": 1}}`` gives ``{"a/b": 1}``."""
    flat: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            flat.update({f"{key}{separator}{inner}": each for inner, each in flatten(value, separator).items()})
        else:
            flat[str(key)] = value
    return flat


def _plain(value: Any, _above: tuple[int, ...] = ()) -> Any:
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            # Subclasses (numpy's float64, a string enum's member) would be pickled or tagged by some formats.
            return kind(value)
    if id(value) in _above:
        return "..."
    return _plain_container(value, (*_above, id(value)))


def _plain_container(value: Any, above: tuple[int, ...]) -> Any:
    if isinstance(value, argparse.Namespace):
        value = vars(value)
    elif is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(each, above) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, above) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(each, above) for each in value), key=repr)
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if inspect.isroutine(value) or isinstance(value, type):
        return value.__name__
    if isinstance(value, functools.partial):
        return _plain_object(value.func)
    if hasattr(value, "tolist"):
        return _plain_array(value)
    if callable(value):
        # A module or a callable object: its repr may be pages long.
        return type(value).__name__
    return str(value)


def _plain_array(value: Any) -> Any:
    shape = tuple(getattr(value, "shape", ()))
    size = functools.reduce(lambda product, length: product * length, shape, 1)
    return value.tolist() if size <= LARGEST_LISTED_ARRAY else f"{type(value).__name__}{list(shape)}"
