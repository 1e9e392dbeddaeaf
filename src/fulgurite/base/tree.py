"""Nested batches: visit their tensors, move them, and tell their size."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import warn_once

_PLAIN = (int, float, str, bytes, complex, type(None), type)


def map_tensors(tree: Any, fn: Callable[[Tensor], Any]) -> Any:
    """Return ``tree`` with ``fn`` applied to every tensor; all else is kept.

    Where ``fn`` returns each tensor itself, the same tree comes back and nothing is rebuilt.
    """
    return _map(tree, fn, None)


def as_tensors(tree: Any, device: torch.device) -> Any:
    """Return ``tree`` with a tensor on ``device`` in the place of each real number and each NumPy array of them."""
    if isinstance(tree, Mapping):
        made: Any = {key: as_tensors(value, device) for key, value in tree.items()}
        return made if type(tree) is dict else _rebuilt(tree, made)
    if isinstance(tree, list | tuple):
        items = [as_tensors(each, device) for each in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if getattr(getattr(tree, "dtype", None), "kind", None) in ("b", "i", "u", "f"):
        # A copy: torch takes no array that is read backwards.
        return torch.as_tensor(tree.copy(), device=device)
    return torch.as_tensor(tree, device=device) if isinstance(tree, int | float) else tree


def move_data_to_device(batch: Any, device: torch.device | str | int) -> Any:
    """Return ``batch`` with its tensors, and all that has a ``to``, on ``device``.

    Copies to CUDA do not wait for the host. What is already there is returned as it is.
    """
    target = device if type(device) is torch.device else torch.device(device)
    if target.type == "cuda" and target.index is None:
        # Tensors know their index; without one, every comparison below would fail.
        target = torch.device("cuda", torch.cuda.current_device())
    overlap = target.type == "cuda"

    def move_tensor(tensor: Tensor) -> Tensor:
        return tensor if tensor.device == target else tensor.to(target, non_blocking=overlap)

    def move_other(value: Any) -> Any:
        moved = value.to(target)
        # Some classes move in place and return nothing.
        return value if moved is None else moved

    return _map(batch, move_tensor, move_other)


def leaves(tree: Any) -> Iterator[Any]:
    """Yield everything in ``tree`` that is not a collection: tensors, numbers, strings, unknown objects."""
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, list | tuple) and not isinstance(tree, PackedSequence):
        for value in tree:
            yield from leaves(value)
    elif _is_dataclass(tree):
        for field in dataclasses.fields(tree):
            yield from leaves(getattr(tree, field.name, None))
    else:
        yield tree


def batch_size_of(batch: Any) -> int:
    """Return the size of the first dimension of the first tensor; a tensor without dimensions counts as one.

    Warns once where tensors disagree. Raises ``MisconfigurationException`` where there is none.
    """
    if isinstance(batch, Tensor):
        return _rows(batch)
    sizes = (_rows(leaf) for leaf in leaves(batch) if isinstance(leaf, Tensor | PackedSequence))
    first = next(sizes, None)
    if first is None:
        raise MisconfigurationException(
            f"No tensor was found in the batch ({type(batch).__name__}), so its size is unknown. "
            "Pass it: `self.log(..., batch_size=...)`."
        )
    if any(size != first for size in sizes):
        warn_once(
            "The tensors of a batch have different first dimensions; epoch means are weighted by that of the first "
            "tensor. Pass `self.log(..., batch_size=...)` to state the batch size."
        )
    return first


def _rows(value: Tensor | PackedSequence) -> int:
    if isinstance(value, PackedSequence):
        return int(value.batch_sizes[0])
    return value.size(0) if value.dim() else 1


def _map(tree: Any, fn: Callable[[Tensor], Any], other: Callable[[Any], Any] | None) -> Any:
    # This runs for every batch: the order is by how often each kind is met.
    if isinstance(tree, Tensor):
        return fn(tree)
    kind = type(tree)
    if kind is list or kind is tuple:
        return _map_sequence(tree, fn, other)
    if kind is dict:
        return _map_mapping(tree, fn, other)
    if isinstance(tree, _PLAIN):
        return tree
    return _map_uncommon(tree, fn, other)


def _map_uncommon(tree: Any, fn: Callable[[Tensor], Any], other: Callable[[Any], Any] | None) -> Any:
    if other is not None and hasattr(tree, "to"):
        # Tokenizer outputs, graphs, packed sequences: they keep what a rebuilt collection would lose.
        return other(tree)
    if isinstance(tree, PackedSequence):
        # The lengths stay on the CPU and the permutations are indices: only the data is the user's.
        return tree._replace(data=fn(tree.data))
    if isinstance(tree, list | tuple):
        return _map_sequence(tree, fn, other)
    if isinstance(tree, Mapping):
        return _map_mapping(tree, fn, other)
    return _map_dataclass(tree, fn, other) if _is_dataclass(tree) else tree


def _map_sequence(tree: Any, fn: Callable[[Tensor], Any], other: Callable[[Any], Any] | None) -> Any:
    mapped, changed = [], False
    for old in tree:
        new = _map(old, fn, other)
        mapped.append(new)
        changed = changed or new is not old
    if not changed:
        return tree
    kind = type(tree)
    if kind is list:
        return mapped
    return kind(*mapped) if hasattr(tree, "_fields") else kind(mapped)


def _map_mapping(tree: Any, fn: Callable[[Tensor], Any], other: Callable[[Any], Any] | None) -> Any:
    mapped, changed = {}, False
    for key, old in tree.items():
        new = mapped[key] = _map(old, fn, other)
        changed = changed or new is not old
    if not changed:
        return tree
    return mapped if type(tree) is dict else _rebuilt(tree, mapped)


def _rebuilt(tree: Any, mapped: dict[Any, Any]) -> Any:
    """A mapping of the kind that ``tree`` is."""
    kind, factory = type(tree), getattr(tree, "default_factory", None)
    return kind(factory, mapped) if factory is not None else kind(mapped)


def _is_dataclass(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _map_dataclass(tree: Any, fn: Callable[[Tensor], Any], other: Callable[[Any], Any] | None) -> Any:
    changed = {}
    for field in dataclasses.fields(tree):
        old = getattr(tree, field.name, None)
        new = _map(old, fn, other)
        if new is not old:
            changed[field.name] = new
    return _with(tree, changed) if changed else tree


def _with(tree: Any, changed: dict[str, Any]) -> Any:
    """A copy of a dataclass with some fields exchanged; neither ``__init__`` nor ``__post_init__`` runs again."""
    copy = object.__new__(type(tree))
    known = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree) if hasattr(tree, field.name)}
    for name, value in {**getattr(tree, "__dict__", {}), **known, **changed}.items():
        # The plain setattr would fail on a frozen dataclass.
        object.__setattr__(copy, name, value)
    return copy
