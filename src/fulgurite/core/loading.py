"""Modules and data modules made from a checkpoint: hyperparameters to ``__init__``, then the weights."""

import ast
import csv
import functools
import inspect
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MethodType
from typing import Any

import torch

from fulgurite.base.arguments import shown
from fulgurite.base.attributes import AttributeDict
from fulgurite.base.errors import CheckpointError
from fulgurite.base.folder import read
from fulgurite.base.format import NOTES, Source
from fulgurite.base.restore import restore

#: What a command line adds to the hyperparameters; no arguments of the class.
_NOT_ARGUMENTS = ("_instantiator", "_class_path")


class class_only:
    """A ``classmethod`` that raises ``TypeError`` on an instance, whose return value would be lost."""

    def __init__(self, method: Callable[..., Any]) -> None:
        functools.update_wrapper(self, method)  # type: ignore[arg-type]
        self.method = method

    def __get__(self, instance: object | None, owner: type) -> Callable[..., Any]:
        if instance is None:
            return MethodType(self.method, owner)
        return functools.partial(_refuse, f"{owner.__name__}.{self.method.__name__}")


def _refuse(name: str, *_: Any, **__: Any) -> None:
    raise TypeError(f"`{name}` returns a new object: call it on the class and keep what it returns.")


def load_module(
    cls: type,
    checkpoint_path: Source,
    map_location: Any = None,
    hparams_file: str | os.PathLike[str] | None = None,
    strict: bool | None = None,
    weights_only: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Return a new ``cls`` with the checkpoint's hyperparameters (``kwargs`` go before them) and weights."""
    checkpoint = _read(checkpoint_path, map_location, hparams_file, weights_only, cls)
    if "state_dict" not in checkpoint:
        raise CheckpointError(
            f"{checkpoint_path!r} holds no 'state_dict', only: {', '.join(map(str, list(checkpoint)[:8]))}. Weights "
            "saved as such load with `module.load_state_dict(torch.load(path))`."
        )
    module = _make(cls, checkpoint, kwargs)
    module.configure_model()
    module.on_load_checkpoint(checkpoint)
    weights = checkpoint["state_dict"]
    try:
        module.load_state_dict(weights, strict=_strictness(module, strict))
    except (AttributeError, RuntimeError, TypeError) as error:
        if not module.load_state_dict.__module__.startswith("torch."):
            raise
        raise CheckpointError(f"The weights in {checkpoint_path!r} do not fit {cls.__name__}: {error}") from error
    first = next((value for value in weights.values() if isinstance(value, torch.Tensor)), torch.tensor(0))
    return module.to(first.device)


def load_datamodule(
    cls: type,
    checkpoint_path: Source,
    map_location: Any = None,
    hparams_file: str | os.PathLike[str] | None = None,
    weights_only: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Return a new ``cls`` with the checkpoint's hyperparameters (``kwargs`` go before them) and state."""
    checkpoint = _read(checkpoint_path, map_location, hparams_file, weights_only, cls)
    datamodule = _make(cls, checkpoint, kwargs)
    if cls.__qualname__ in checkpoint:
        datamodule.load_state_dict(checkpoint[cls.__qualname__])
    return datamodule


def _read(path: Source, map_location: Any, hparams_file: Any, weights_only: bool | None, cls: Any) -> dict[str, Any]:
    checkpoint = read(path, map_location, weights_only)
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"{path!r} holds a {type(checkpoint).__name__}, expected a checkpoint's dictionary.")
    _check_hyper_parameters(path, cls, checkpoint)
    if hparams_file is not None:
        key = cls.CHECKPOINT_HYPER_PARAMS_KEY
        checkpoint[key] = _read_hparams(Path(hparams_file))
        left_out = (checkpoint.get(NOTES) or {}).get(key, {}).get("left_out", {})
        for name in set(left_out) & set(checkpoint[key]):
            del left_out[name]
    return checkpoint


def _check_hyper_parameters(path: Source, cls: Any, checkpoint: dict[str, Any]) -> None:
    name = checkpoint.get(cls.CHECKPOINT_HYPER_PARAMS_NAME)
    saved, notes = checkpoint.get(cls.CHECKPOINT_HYPER_PARAMS_KEY), checkpoint.get(NOTES)
    whole = name is not None  # saved as the one argument of that name, it may be any object
    if (
        not isinstance(name, str | None)
        or not isinstance(notes, dict | None)
        or not (whole or saved is None or isinstance(saved, Mapping))
    ):
        raise CheckpointError(
            f"The hyperparameters in {path!r} are damaged: {shown(saved)}, named {shown(name)}. Give all arguments of "
            f"{cls.__name__}, and `hparams_file`, or load the weights with `torch.load`."
        )


def _strictness(module: Any, strict: bool | None) -> bool:
    chosen = module._strict_loading
    if strict is not None and chosen is not None and strict != chosen:
        raise ValueError(
            f"strict={strict} contradicts the module's own `strict_loading={chosen}`. Leave `strict` out, or change "
            "`strict_loading` in the module."
        )
    return module.strict_loading if strict is None else strict


# -- arguments ------------------------------------------------------------------------------------------------------


def _make(cls: Any, checkpoint: dict[str, Any], kwargs: dict[str, Any]) -> Any:
    arguments = _init_arguments(cls, checkpoint, kwargs)
    missing = [
        name
        for name, parameter in _parameters(cls).items()
        if parameter.default is parameter.empty and name not in arguments and parameter.kind not in _VARIADIC
    ]
    if missing:
        raise TypeError(
            f"{cls.__name__}.__init__ needs {', '.join(map(repr, missing))}, which the checkpoint does not hold. Give "
            f"it: `{cls.__name__}.load_from_checkpoint(path, {missing[0]}=...)`."
        )
    return cls(**arguments)


def _init_arguments(cls: Any, checkpoint: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What to call ``cls`` with: the saved values that its ``__init__`` takes, then the caller's."""
    key = cls.CHECKPOINT_HYPER_PARAMS_KEY
    notes = (checkpoint.get(NOTES) or {}).get(key, {})
    parameters = _parameters(cls)
    declared = {name for name, parameter in parameters.items() if parameter.kind not in _VARIADIC}
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    saved = checkpoint.get(key) or {}
    name: Any = checkpoint.get(cls.CHECKPOINT_HYPER_PARAMS_NAME)
    passed_on = open_ended and NOTES in checkpoint and name not in (None, "kwargs", *notes.get("inherited", ()))
    left_out = notes.get("left_out", {})
    if name in declared or passed_on:
        _ask_for(cls, left_out, () if name in kwargs else set(left_out) - set(kwargs))
        ours = {key: value for key, value in kwargs.items() if key in declared or (open_ended and key not in saved)}
        contents = {key: value for key, value in kwargs.items() if key not in ours}
        return {name: _as_one_object(saved, contents, notes.get("source")), **ours}
    if not isinstance(saved, Mapping):
        raise CheckpointError(
            f"The checkpoint's hyperparameters are {shown(saved)}, named {shown(name)}: {cls.__name__} has no argument "
            "of that name, and they are no arguments by name. Load the weights with `torch.load`."
        )
    inherited = set(notes.get("inherited", ())) - declared

    def taken(name: str) -> bool:
        return name in declared or (open_ended and name not in inherited and name not in _NOT_ARGUMENTS)

    _ask_for(cls, left_out, {name for name in left_out if taken(name) and name not in kwargs})
    return {**{name: value for name, value in saved.items() if taken(name)}, **kwargs}


def _ask_for(cls: type, left_out: dict[str, str], names: Collection[str]) -> None:
    """Raise for hyperparameters that the file could not hold: a default in their place would be another model."""
    if not names:
        return
    missing = sorted(names)
    listed = ", ".join(map(repr, missing))
    given = ", ".join(f"{name}=..." for name in missing)
    raise TypeError(
        f"The checkpoint does not hold {listed} of {cls.__name__}: {'; '.join(left_out[name] for name in missing)}. "
        f"Import what is missing, or give it: `{cls.__name__}.load_from_checkpoint(path, {given})`. "
        f"When saving, `save_hyperparameters(pickle=[{listed}])` keeps it in a file that loads with "
        f"`weights_only=False`, and `save_hyperparameters(ignore=[{listed}])` says that it is no hyperparameter."
    )


def _as_one_object(saved: Any, changes: dict[str, Any], source: list[Any] | None) -> Any:
    """All hyperparameters as the one argument that they were the contents of."""
    if not isinstance(saved, dict):
        return saved
    contents = AttributeDict({**saved, **changes})
    return restore(contents, [[(), source]]) if source else contents


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    return dict(list(inspect.signature(cls.__init__).parameters.items())[1:])  # type: ignore[misc]


# -- hyperparameters in a file of their own -------------------------------------------------------------------------


def _read_hparams(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"There is no hparams_file {str(path)!r}.")
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    if path.suffix.lower() in (".yml", ".yaml"):
        return _read_yaml(path)
    raise ValueError(f"hparams_file={str(path)!r} must end in .csv, .yml or .yaml.")


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml  # late: seldom needed

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"hparams_file={str(path)!r} is no plain YAML: {error}") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"hparams_file={str(path)!r} holds {shown(found)}, expected lines such as `width: 3`.")
    return found


def _read_csv(path: Path) -> dict[str, Any]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {row["key"]: _literal(row["value"]) for row in csv.DictReader(file)}
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise CheckpointError(
            f"hparams_file={str(path)!r} is no table of the columns key and value ({type(error).__name__}: {error})."
        ) from error


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
