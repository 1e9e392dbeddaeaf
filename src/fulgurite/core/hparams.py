"""What an object was made with: ``save_hyperparameters`` finds the arguments of ``__init__`` and keeps them."""

import argparse
import copy
import dataclasses
import sys
from collections.abc import Iterable, Mapping
from types import CodeType, FrameType
from typing import Any

from torch import nn

from fulgurite.base.attributes import AttributeDict
from fulgurite.base.format import NOTES
from fulgurite.base.names import class_name
from fulgurite.base.rank import rank_zero_warn, warn_once

__all__ = ["AttributeDict", "HyperparametersMixin", "pack_hyper_parameters"]

_VARARGS, _VARKEYWORDS = 0x04, 0x08


class HyperparametersMixin:
    """Gives ``save_hyperparameters`` and ``hparams`` to modules and data modules."""

    CHECKPOINT_HYPER_PARAMS_KEY = "hyper_parameters"
    CHECKPOINT_HYPER_PARAMS_NAME = "hparams_name"
    CHECKPOINT_HYPER_PARAMS_TYPE = "hparams_type"

    # Defaults on the class: hyperparameters may be saved before ``super().__init__()``, or never.
    _log_hyperparams: bool = False
    _hparams_name: str | None = None
    _hparams: Any = None
    _hparams_initial: Any = None
    #: Arguments of base classes that the object's own ``__init__`` does not take: kept, but not passed on loading.
    _hparams_inherited: frozenset[str] = frozenset()
    #: Names that the user allowed to be pickled into checkpoints.
    _hparams_pickled: frozenset[str] = frozenset()
    #: How to make the one argument again that ``hparams`` are the contents of: a code of ``base.ordinary``.
    _hparams_source: tuple[str, ...] = ()

    @property
    def hparams(self) -> Any:
        """The hyperparameters, with dots: ``self.hparams.lr``. Checkpoints hold them as they are then."""
        if self._hparams is None:
            self._hparams = AttributeDict()
        return self._hparams

    @property
    def hparams_initial(self) -> Any:
        """A copy of the hyperparameters as they were when they were saved."""
        return _deep_copies(self._hparams_initial) if self._hparams_initial is not None else AttributeDict()

    def save_hyperparameters(
        self,
        *args: Any,
        ignore: Iterable[str] | str | None = None,
        frame: FrameType | None = None,
        logger: bool = True,
        pickle: Iterable[str] | str = (),
    ) -> None:
        """Keep the arguments of ``__init__`` in ``self.hparams``, in checkpoints and, with ``logger``, in the logs.

        Without ``args``, all arguments; names (strings) choose some; a dict, a Namespace or a dataclass instance gives
        the hyperparameters itself. Names in ``ignore`` are left out, also where a base class has saved them.
        ``frame`` is that of ``__init__`` where the call stands elsewhere.

        Values of ordinary types are stored as plain data. Others are left out of checkpoints unless named in
        ``pickle``; such a file then loads with ``weights_only=False`` alone.

        Raises ``ValueError`` for a number or a list in place of hyperparameters, ``KeyError`` for an unknown name.
        """
        calls = _init_calls(self, frame or sys._getframe(1))
        self._log_hyperparams = logger
        ignored = _names(ignore)
        found = _chosen(args, calls)
        if found is not None:
            self._hparams_name, self._hparams_source = found.name, found.source
            self._note_inherited(calls)
            self._keep({name: value for name, value in found.values.items() if name not in ignored}, found.container)
        self.remove_ignored_hparams(ignored)
        self._allow_pickle(_names(pickle))

    def remove_ignored_hparams(self, ignore: Iterable[str] | str) -> None:
        """Forget the hyperparameters of these names."""
        for hparams in (self._hparams, self._hparams_initial):
            for name in _names(ignore):
                if hparams is not None and name in hparams:
                    del hparams[name]

    def _set_hparams(self, hparams: Any) -> None:
        """Add to the hyperparameters; a container of OmegaConf takes their place."""
        container = _as_container(hparams)
        if isinstance(self.hparams, dict) and isinstance(container, dict):
            self.hparams.update(container)
        else:
            self._hparams = container

    def _keep(self, values: dict[str, Any], container: Any) -> None:
        if container is not None:
            self._hparams, self._hparams_initial = container, _deep_copies(container)
            return
        self._set_hparams(AttributeDict({name: _own_collections(value) for name, value in values.items()}))
        self._hparams_initial = AttributeDict({**(self._hparams_initial or {}), **_deep_copies(values)})

    def _note_inherited(self, calls: list[dict[str, Any]]) -> None:
        if calls:
            inner = set().union(*calls[:-1])
            self._hparams_inherited = (self._hparams_inherited | inner) - set(calls[-1])

    def _allow_pickle(self, names: set[str]) -> None:
        unknown = names - set(self.hparams)
        if unknown:
            raise ValueError(f"pickle={sorted(unknown)} names no hyperparameter; there are: {', '.join(self.hparams)}.")
        self._hparams_pickled = self._hparams_pickled | names
        for name, value in self.hparams.items():
            if isinstance(value, nn.Module) and name not in self._hparams_pickled:
                rank_zero_warn(
                    f"The hyperparameter {name!r} is an `nn.Module`, whose weights are in every checkpoint anyway. "
                    f"Leave it out with `self.save_hyperparameters(ignore=[{name!r}])`."
                )


def pack_hyper_parameters(owner: HyperparametersMixin, checkpoint: dict[str, Any]) -> None:
    """Put the owner's hyperparameters into ``checkpoint`` under the owner's keys; nothing if there are none."""
    if not owner.hparams:
        return
    key = owner.CHECKPOINT_HYPER_PARAMS_KEY
    checkpoint[owner.CHECKPOINT_HYPER_PARAMS_NAME] = owner._hparams_name
    checkpoint[key] = dict(owner.hparams) if isinstance(owner.hparams, dict) else owner.hparams
    notes = {
        "inherited": sorted(owner._hparams_inherited),
        "pickle": sorted(owner._hparams_pickled),
        "source": list(owner._hparams_source),
    }
    checkpoint.setdefault(NOTES, {})[key] = {name: note for name, note in notes.items() if note}


# -- the arguments of __init__ --------------------------------------------------------------------------------------


def _init_calls(owner: object, frame: FrameType | None) -> list[dict[str, Any]]:
    """The arguments of every ``__init__`` of ``owner`` that is running: the innermost base class first."""
    calls = []
    while frame is not None:
        if frame.f_code.co_name == "__init__" and _first_argument(frame) is owner:
            calls.append(_arguments(frame))
        frame = frame.f_back
    return calls


def _first_argument(frame: FrameType) -> Any:
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None


def _arguments(frame: FrameType) -> dict[str, Any]:
    """Declared arguments and those taken by ``**kwargs``, without ``self`` and ``*args``."""
    code, scope = frame.f_code, frame.f_locals
    declared = code.co_argcount + code.co_kwonlyargcount
    arguments = {name: scope[name] for name in code.co_varnames[1:declared] if name in scope}
    return arguments | (scope.get(keywords, {}) if (keywords := _keywords_name(code)) else {})


def _keywords_name(code: CodeType) -> str | None:
    if not code.co_flags & _VARKEYWORDS:
        return None
    return code.co_varnames[code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & _VARARGS)]


# -- what is asked for ----------------------------------------------------------------------------------------------


@dataclasses.dataclass
class _Found:
    values: dict[str, Any]
    name: str | None = "kwargs"
    source: tuple[str, ...] = ()
    container: Any = None


def _chosen(args: tuple[Any, ...], calls: list[dict[str, Any]]) -> _Found | None:
    arguments: dict[str, Any] = {}
    for call in calls:
        arguments.update(call)
    if not args:
        return _all_arguments(arguments, calls)
    if len(args) == 1 and not isinstance(args[0], str):
        return _contents(args[0], calls)
    return _several(args, arguments)


def _all_arguments(arguments: dict[str, Any], calls: list[dict[str, Any]]) -> _Found | None:
    if not calls:
        rank_zero_warn(
            "`save_hyperparameters()` was called outside `__init__`, so there are no arguments to save. Call it in "
            "`__init__`, or pass the hyperparameters, or `frame`."
        )
        return None
    return _Found(arguments, "kwargs" if arguments else None)


def _contents(given: Any, calls: list[dict[str, Any]]) -> _Found:
    """One object that is all hyperparameters. Its name is that of the argument that *is* it, not one that equals it."""
    name = next((name for call in reversed(calls) for name, value in call.items() if value is given), None)
    if _is_omega_conf(given):
        return _Found(dict(given), name, container=copy.deepcopy(given))
    source: tuple[str, ...] = ()
    if isinstance(given, argparse.Namespace):
        source = ("Namespace",)
    elif dataclasses.is_dataclass(given):
        source = ("dataclass", class_name(type(given)))
    return _Found(dict(_as_container(given)), name, source)


def _several(args: tuple[Any, ...], arguments: dict[str, Any]) -> _Found:
    """Some arguments, each given by its name or as itself."""
    values: dict[str, Any] = {}
    for given in args:
        if isinstance(given, str):
            if given not in arguments:
                raise KeyError(f"{given!r} is no argument of `__init__`; there are: {', '.join(arguments) or 'none'}")
            values[given] = arguments[given]
        elif (name := next((n for n, v in arguments.items() if v is given and n not in values), None)) is not None:
            values[name] = given
        elif isinstance(given, Mapping):
            values.update(given)
        else:
            raise ValueError(f"{given!r} is no argument of `__init__`. Pass names, or a dict.")
    return _Found(values)


def _as_container(hparams: Any) -> Any:
    if isinstance(hparams, argparse.Namespace):
        return AttributeDict(vars(hparams))
    if dataclasses.is_dataclass(hparams) and not isinstance(hparams, type):
        return AttributeDict({field.name: getattr(hparams, field.name) for field in dataclasses.fields(hparams)})
    if _is_omega_conf(hparams):
        return hparams
    if isinstance(hparams, Mapping):
        return AttributeDict(hparams)
    if isinstance(hparams, bool | int | float | str):
        raise ValueError(f"Hyperparameters cannot be a single {type(hparams).__name__} ({hparams!r}). Pass a dict.")
    raise ValueError(
        f"Hyperparameters cannot be a {type(hparams).__name__}. Pass a dict, a Namespace or a dataclass instance."
    )


def _is_omega_conf(value: Any) -> bool:
    omegaconf = sys.modules.get("omegaconf")
    return omegaconf is not None and omegaconf.OmegaConf.is_config(value)


def _names(names: Iterable[str] | str | None) -> set[str]:
    return {names} if isinstance(names, str) else set(names or ())


# -- copies ---------------------------------------------------------------------------------------------------------


def _own_collections(value: Any) -> Any:
    """``value`` with lists, dicts and sets of its own, so that the caller's may change; all else is shared."""
    kind = type(value)
    if kind in (list, tuple):
        return kind(map(_own_collections, value))
    if kind in (dict, AttributeDict):
        return kind({key: _own_collections(item) for key, item in value.items()})
    return set(value) if kind is set else value


def _deep_copies(hparams: Any) -> Any:
    """Deep copies that keep what is shared between values; references where there is no copying, and for modules."""
    if not isinstance(hparams, dict):
        return copy.deepcopy(hparams)
    memo: dict[int, Any] = {}
    return AttributeDict({name: _deep_copy(name, value, memo) for name, value in hparams.items()})


def _deep_copy(name: str, value: Any, memo: dict[int, Any]) -> Any:
    if isinstance(value, nn.Module):
        return value
    try:
        return copy.deepcopy(value, memo)
    except Exception as error:
        warn_once(
            f"The hyperparameter {name!r} cannot be copied ({error}), so `hparams_initial` refers to the same object: "
            f"later changes show in it. Leave it out with `self.save_hyperparameters(ignore=[{name!r}])`."
        )
        return value
