"""The optimizer's memory under DeepSpeed's ZeRO, which has each group of parameters in flat pieces, one a rank."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from fulgurite.base.errors import CheckpointError


class Pieces:
    """Which parts of which parameters this rank has; brings them together, and takes them apart.

    All ranks have to call the same at the same time.
    """

    def __init__(self, optimizer: Optimizer, groups: list[list[Tensor]], device: torch.device) -> None:
        """``groups`` are the parameters that the optimizer had before DeepSpeed put flat pieces in their place."""
        self.optimizer, self.groups, self.device = optimizer, groups, device
        self.places = {id(each): _place(each) for group in groups for each in group if each.requires_grad}
        self.keeps = not dist.is_initialized() or dist.get_rank() == 0

    def weight(self, parameter: Tensor) -> Tensor | None:
        """All of ``parameter`` in float32, as the optimizer has it; None but on rank 0."""
        found: Tensor | None = self._whole(parameter, self._flat(parameter))
        return found

    def put_weight(self, whole: Tensor, parameter: Tensor) -> None:
        self._put(whole, parameter, self._flat(parameter))

    def _flat(self, parameter: Tensor) -> Tensor:
        """This rank's part of the group that ``parameter`` is in, in float32."""
        groups = zip(self.optimizer.param_groups, self.groups, strict=True)
        return next(group["params"][0] for group, own in groups if any(each is parameter for each in own))

    def state_dict(self) -> dict[str, Any]:
        """What ``optimizer.state_dict()`` would be if all lay in one process; on other ranks without values."""
        groups: list[dict[str, Any]] = []
        state: dict[int, dict[str, Any]] = {}
        for settings, own, parameters in self._parts():
            at = sum(len(group["params"]) for group in groups)
            groups.append({**settings, "params": list(range(at, at + len(parameters)))})
            for index, parameter in enumerate(parameters, at):
                names = own if parameter.requires_grad else {}
                found = {name: self._whole(parameter, own[name]) for name in names}
                if found and self.keeps:
                    state[index] = found
        return {"state": state, "param_groups": groups}

    def _whole(self, parameter: Tensor, value: Any) -> Any:
        """All that belongs to ``parameter``, where ``value`` is this rank's part of a group; None but on rank 0."""
        if not _is_spread(value):
            return _own(value)
        whole = torch.zeros(parameter.numel(), dtype=value.dtype, device=self.device)
        here, there = self.places[id(parameter)]
        whole[here] = _fitting(value, there).to(self.device)
        dist.all_reduce(whole)
        return whole.view(parameter.shape).cpu() if self.keeps else None

    def _put(self, whole: Tensor, parameter: Tensor, part: Tensor) -> None:
        """The other way round: put what this rank has of ``whole`` into its part of a group."""
        here, there = self.places[id(parameter)]
        _fitting(part, there).copy_(whole.reshape(-1)[here])

    def take(self, optimizer: Optimizer, given: dict[str, Any]) -> dict[str, Any]:
        """Put each rank's part of a whole state where it belongs; return what torch shall load, which is in place."""
        at = 0
        for group, (_, own, parameters) in zip(optimizer.param_groups, self._parts(), strict=True):
            (flat,) = group["params"]
            for index, parameter in enumerate(parameters, at):
                found = given["state"].get(index, {}) if parameter.requires_grad else {}
                for name, value in found.items():
                    if _is_spread(value):
                        own.setdefault(name, torch.zeros_like(flat, dtype=value.dtype))
                        self._put(value, parameter, own[name])
                    else:
                        own[name] = _own(value)
            at += len(parameters)
        mine = optimizer.state_dict()
        groups = zip(given["param_groups"], mine["param_groups"], strict=True)
        return {**mine, "param_groups": [{**its, "params": own["params"]} for its, own in groups]}

    def _parts(self) -> Iterator[tuple[dict[str, Any], dict[str, Any], list[Tensor]]]:
        """For each group of parameters: its settings, the optimizer's memory of this rank's part, the parameters."""
        for group, parameters in zip(self.optimizer.param_groups, self.groups, strict=True):
            settings = {name: value for name, value in group.items() if name != "params"}
            yield settings, self.optimizer.state[group["params"][0]], parameters


def _is_spread(value: Any) -> bool:
    """Whether an entry of the optimizer's memory has a value for each weight; counts of steps are one number."""
    return isinstance(value, Tensor) and value.dim() > 0


def _own(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _place(parameter: Any) -> tuple[slice, slice]:
    """Which of the parameter's values this rank has, and where they lie in its part of the group."""
    found = parameter._hp_mapping
    if found is None:
        return slice(0, 0), slice(0, 0)
    here, there = found.lp_fragment_address, found.hp_fragment_address
    return slice(here.start, here.start + here.numel), slice(there.start, there.start + there.numel)


def _fitting(part: Tensor, there: slice) -> Tensor:
    """The values of ``part`` at ``there``. Raises ``CheckpointError`` where it has not one for each weight."""
    if there.stop > part.numel():
        raise CheckpointError(
            "The optimizer's memory has not one value for each weight, so that DeepSpeed's pieces of it can't be put "
            "together. Save with save_weights_only=True, or use an optimizer such as AdamW."
        )
    return part.detach().view(-1)[there]


def keep_gradients(set_to_none: bool = True) -> None:
    """In the place of an optimizer's ``zero_grad``: the engine does it in its step."""
