"""What goes to processes that a Trainer starts, and what comes back from the first of them.

There go the Trainer, the model and the data, never a Session: each process assembles its own. Back come the result, the
weights, where the run is, and what callbacks, loggers and profiler know.
"""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fulgurite.base.compiled import unwrap
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_warn
from fulgurite.base.seed import collect_rng_states, set_rng_states
from fulgurite.base.tree import move_data_to_device
from fulgurite.core.datamodule import LightningDataModule
from fulgurite.core.module import LightningModule
from fulgurite.runtime.hooks import overrides

TOLD = (
    "progress", "state", "plan", "should_stop", "interrupted", "ckpt_path",
    "received_sigterm", "received_sigint", "ended_as_asked",
)  # fmt: skip
"""The attributes of a Trainer that tell of its run."""
BOARD = ("callback", "logged", "bar")
SENT, WEIGHTS, TALE, RESULT = "sent.pt", "weights.pt", "tale.pickle", "result.pt"


def send(folder: Path, trainer: Any, verb: str, args: tuple[Any, ...]) -> None:
    """Write what the processes start from. Raises ``MisconfigurationException``, naming what can't be pickled."""
    try:
        torch.save((trainer, verb, args), folder / SENT)
    except Exception as error:
        where = next(_unpicklable({"trainer": trainer, "arguments": args}, ""), "something")
        raise MisconfigurationException(
            f"strategy='ddp_spawn' sends Trainer, model and data to new processes, and {where} can't be pickled: "
            f"{error}. Define it at the top of a module, make it in a hook such as `setup`, or use strategy='ddp'."
        ) from error


def received(folder: Path) -> tuple[Any, str, tuple[Any, ...]]:
    """Read what `send` wrote."""
    return torch.load(folder / SENT, map_location="cpu", weights_only=False)


def hand_over(folder: Path, trainer: Any, owners: list[Any], trains: bool) -> None:
    """Write what the run has come to, for the Trainer that waits. ``owners`` are those that it sent."""
    module, datamodule = trainer.lightning_module, trainer.datamodule
    if module is None:
        return
    if trains or trainer.ckpt_path is not None:
        torch.save(move_data_to_device(module.state_dict(), "cpu"), folder / WEIGHTS)
    known: dict[int, Any] = {id(trainer): "trainer", id(module): "module", id(datamodule): "datamodule"}
    known |= {id(owner): number for number, owner in enumerate(owners)}
    tale = {
        "told": {name: getattr(trainer, name) for name in TOLD},
        "board": {name: getattr(trainer._board, name) for name in BOARD},
        "owners": [_state_of(owner, known) for owner in owners],
        "callbacks": [each for each in trainer.callbacks if id(each) in known or _can_be_packed(each, known)],
        "random": collect_rng_states(include_cuda=False),
        "datamodule": datamodule.state_dict() if datamodule is not None else {},
    }
    (folder / TALE).write_bytes(_packed(tale, known))


def take_back(folder: Path, trainer: Any, args: tuple[Any, ...], owners: list[Any]) -> bool:
    """Make the Trainer and what was sent as they would be if all had run here; return whether anything came back."""
    models = [unwrap(each)[0] for each in args]
    module = next((each for each in models if isinstance(each, LightningModule)), trainer.lightning_module)
    datamodule = next((each for each in args if isinstance(each, LightningDataModule)), None)
    if module is None or not (folder / TALE).exists():
        return False
    trainer.strategy.connect(module)
    module.trainer, trainer.datamodule = trainer, datamodule
    known: dict[Any, Any] = {"trainer": trainer, "module": module, "datamodule": datamodule, **dict(enumerate(owners))}
    tale = _unpacked((folder / TALE).read_bytes(), known)
    trainer.__dict__.update(tale["told"])
    trainer._board.__dict__.update(tale["board"])
    for owner, state in zip(owners, tale["owners"], strict=True):
        _put_state(owner, state, known)
    trainer.callbacks = tale["callbacks"]
    set_rng_states(tale["random"])
    if datamodule is not None:
        datamodule.trainer = trainer
        if tale["datamodule"]:
            datamodule.load_state_dict(tale["datamodule"])
    if (folder / WEIGHTS).exists():
        _load_weights(module, torch.load(folder / WEIGHTS, weights_only=False))
    return True


def owners_of(trainer: Any) -> list[Any]:
    """Those of a Trainer's parts that remember something from run to run."""
    return [*trainer.callbacks, *trainer.loggers, trainer.profiler, trainer.precision_plugin]


def write_result(folder: Path, result: Any) -> None:
    """Keep what the verb gave. Raises ``RuntimeError`` where it can't be pickled."""
    try:
        torch.save(move_data_to_device(result, "cpu"), folder / RESULT)
    except (pickle.PickleError, AttributeError, TypeError) as error:
        raise RuntimeError(
            f"What was returned can't be sent back to the process that waits for it: {error}. Return tensors, numbers "
            "and texts from `predict_step`, or pass return_predictions=False and write them in a callback."
        ) from error


def read_result(folder: Path) -> Any:
    return torch.load(folder / RESULT, weights_only=False)


def _load_weights(module: Any, weights: dict[str, Any]) -> None:
    if set(weights) != set(module.state_dict()) and overrides(module, "configure_model", LightningModule):
        module.configure_model()
    found = module.load_state_dict(weights, strict=False)
    differing = [*found.missing_keys, *found.unexpected_keys]
    if differing:
        rank_zero_warn(
            f"The model was changed in the processes that trained it: {', '.join(differing[:5])} exist on one side "
            "only, and stay as they are here. Build all layers in `__init__` or `configure_model`, or load the "
            "checkpoint."
        )


def _state_of(owner: Any, known: dict[int, Any]) -> bytes | None:
    """All that it knows, or what it would keep in a checkpoint where that can't be pickled."""
    for kind in ("whole", "kept"):
        try:
            state = owner.__getstate__() if kind == "whole" else owner.state_dict()
            return _packed((kind, state), {key: name for key, name in known.items() if key != id(state)})
        except Exception:
            continue
    return None


def _put_state(owner: Any, packed: bytes | None, known: dict[Any, Any]) -> None:
    kind, state = ("none", None) if packed is None else _unpacked(packed, known)
    if kind == "kept":
        owner.load_state_dict(state)
    elif kind == "whole" and hasattr(owner, "__setstate__"):
        owner.__setstate__(state)
    elif isinstance(state, dict):
        owner.__dict__.update(state)


class _Packer(pickle.Pickler):
    """Names what the other side has, and leaves no tensor on a device that it may not have."""

    def __init__(self, file: Any, known: dict[int, Any]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.known = known

    def persistent_id(self, thing: Any) -> Any:
        return self.known.get(id(thing)) if thing is not None else None

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, Tensor) and not thing.is_cpu:
            return thing.detach().cpu().__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        return NotImplemented


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: Any, known: dict[Any, Any]) -> None:
        super().__init__(file)
        self.known = known

    def persistent_load(self, name: Any) -> Any:
        return self.known[name]


def _packed(thing: Any, known: dict[int, Any]) -> bytes:
    file = io.BytesIO()
    _Packer(file, known).dump(thing)
    return file.getvalue()


def _unpacked(data: bytes, known: dict[Any, Any]) -> Any:
    return _Unpacker(io.BytesIO(data), known).load()


def _can_be_packed(thing: Any, known: dict[int, Any]) -> bool:
    try:
        return bool(_packed(thing, known))
    except Exception:
        return False


def _unpicklable(thing: Any, path: str, depth: int = 0) -> Iterator[str]:
    """The innermost parts of ``thing`` that can't be pickled, as paths to them."""
    if depth > 8:
        return
    for name, part in _parts(thing):
        here = f"{path}{name}"
        try:
            pickle.dumps(part)
        except Exception:
            yield from _unpicklable(part, here, depth + 1)
            yield f"{here} ({type(part).__name__})"


def _parts(thing: Any) -> list[tuple[str, Any]]:
    if isinstance(thing, dict):
        return [(str(key) if isinstance(key, str) else f"[{key!r}]", part) for key, part in thing.items()]
    if isinstance(thing, list | tuple):
        return [(f"[{number}]", part) for number, part in enumerate(thing)]
    state = getattr(thing, "__dict__", {}) if type(thing).__getstate__ is object.__getstate__ else thing.__getstate__()
    return [(f".{name}", part) for name, part in state.items()] if isinstance(state, dict) else []
