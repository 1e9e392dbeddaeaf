"""Tensors of which each process holds a piece (torch's DTensor): make them whole, and cut others like them."""

import copy
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

Path = tuple[Any, ...]


def is_piece(value: Any) -> bool:
    """Whether ``value`` is a DTensor. Costs nothing where nobody has made one."""
    # The module takes a third of a second to import.
    loaded = sys.modules.get("torch.distributed.tensor")
    return loaded is not None and isinstance(value, loaded.DTensor)


def pieces(tree: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each DTensor in ``tree`` with its place there, in the same order on all ranks."""
    if is_piece(tree):
        yield at, tree
    for key, value in _entries(tree):
        yield from pieces(value, (*at, key))


def exchanged(tree: Any, new: Callable[[Path, Any], Any], at: Path = ()) -> Any:
    """Return ``tree`` with ``new(place, piece)`` in the place of each DTensor; collections without one are kept."""
    if is_piece(tree):
        return new(at, tree)
    changed = {key: exchanged(value, new, (*at, key)) for key, value in _entries(tree)}
    if all(changed[key] is value for key, value in _entries(tree)):
        return tree
    return _rebuilt(tree, changed)


def with_values(tree: Any, values: dict[Path, Any], at: Path = ()) -> Any:
    """Return ``tree`` with each of ``values`` at its place."""
    if at in values:
        return values[at]
    if not any(place[: len(at)] == at for place in values):
        return tree
    return _rebuilt(tree, {key: with_values(value, values, (*at, key)) for key, value in _entries(tree)})


def whole(tree: Any, keep: bool) -> Any:
    """Return ``tree`` with whole tensors of the CPU in the place of DTensors; None in it unless ``keep``.

    All ranks have to come: each piece is brought together in its turn.
    """

    def gathered(_: Path, piece: Any) -> Tensor | None:
        full = piece.detach().full_tensor()
        return full.cpu() if keep else None

    return exchanged(tree, gathered)


def like(own: Any, value: Any) -> Any:
    """Return the whole tensor ``value`` cut as ``own`` is; as it is where one of them is no such thing."""
    if not is_piece(own) or not isinstance(value, Tensor) or is_piece(value) or value.shape != own.shape:
        return value
    from torch.distributed.tensor import distribute_tensor  # late: loaded already, as there is a piece

    # Everybody has the same values, so nothing needs to be sent.
    value = value.detach().to(own.device, own.dtype if value.is_floating_point() else value.dtype)
    return distribute_tensor(value, own.device_mesh, own.placements, src_data_rank=None)


def alike(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """``tensors`` in groups of which each is one list to torch's operations on lists: cut over the same processes."""
    if "torch.distributed.tensor" not in sys.modules:
        return [found] if (found := list(tensors)) else []
    groups: dict[Any, list[Tensor]] = {}
    for each in tensors:
        groups.setdefault(each.device_mesh if is_piece(each) else None, []).append(each)  # type: ignore[attr-defined]
    return list(groups.values())


def clip_by_norm(parameters: Iterable[Tensor], most: float) -> None:
    """Shrink all gradients together so that their norm is at most ``most``; they may be cut in several ways."""
    with_gradients = [each for each in parameters if each.grad is not None]
    gradients = alike(each.grad for each in with_gradients)  # type: ignore[misc]
    if len(gradients) < 2:
        torch.nn.utils.clip_grad_norm_(with_gradients, most)
        return
    norms = [torch.nn.utils.get_total_norm(group) for group in gradients]
    # torch adds norms up within one mesh only.
    total = torch.linalg.vector_norm(torch.stack([each.full_tensor() if is_piece(each) else each for each in norms]))  # type: ignore[attr-defined]
    for group in alike(with_gradients):
        torch.nn.utils.clip_grads_with_norm_(group, most, total)


def clip_by_value(parameters: Iterable[Tensor], most: float) -> None:
    """Cut each element of the gradients at ``most`` and its negative."""
    for group in alike(each for each in parameters if each.grad is not None):
        torch.nn.utils.clip_grad_value_(group, most)


def _entries(tree: Any) -> list[tuple[Any, Any]]:
    if isinstance(tree, dict):
        return list(tree.items())
    return list(enumerate(tree)) if type(tree) in (list, tuple) else []


def _rebuilt(tree: Any, values: dict[Any, Any]) -> Any:
    if isinstance(tree, dict):
        new = copy.copy(tree)  # with its class and attributes, such as the versions in a state_dict
        new.update(values)
        return new
    return type(tree)(values.values())
