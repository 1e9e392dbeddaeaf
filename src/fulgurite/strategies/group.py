"""What ranks do together in a process group of ``torch.distributed``."""

import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from fulgurite.base.errors import RanksDisagree
from fulgurite.core.ranks import Ranks, in_step
from fulgurite.strategies.control import Control

OPERATIONS = {
    "mean": dist.ReduceOp.SUM,
    "avg": dist.ReduceOp.SUM,
    "sum": dist.ReduceOp.SUM,
    "min": dist.ReduceOp.MIN,
    "max": dist.ReduceOp.MAX,
    "product": dist.ReduceOp.PRODUCT,
}
OF_ALL: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "min": torch.amin,
    "max": torch.amax,
}


class GroupRanks(Ranks):
    """One of several processes."""

    cluster_environment: Any = None
    root_device: Any
    timeout: timedelta
    _group: Any = None
    """Where ranks meet with what is no tensor; None before there are others."""
    _control: Control | None = None
    _alone = False
    """Whether this rank failed, and does what it still does without the others."""

    @property
    def world_size(self) -> int:
        return self.cluster_environment.world_size() if self.cluster_environment is not None else 1

    @property
    def global_rank(self) -> int:
        return self.cluster_environment.global_rank() if self.cluster_environment is not None else 0

    @property
    def local_rank(self) -> int:
        return self.cluster_environment.local_rank() if self.cluster_environment is not None else 0

    @property
    def node_rank(self) -> int:
        return self.cluster_environment.node_rank() if self.cluster_environment is not None else 0

    @property
    def was_freed(self) -> bool:
        return self._control is not None and self._control.freed

    def forget_groups(self) -> None:
        """The process groups end: hold on to none of them."""
        self._group = self._control = None

    def meet(self, name: str, value: Any = None) -> list[Any]:
        """Wait for all ranks at ``name`` and return everybody's ``value``.

        Raises `RanksDisagree` where another rank came to another meeting, ``RuntimeError`` where one did not come.
        """
        if self._alone:
            return [value] * self.world_size
        if self.world_size == 1 or self._group is None:
            return [value]
        control = self._control
        assert control is not None
        control.waiting_at = name
        everybody: list[Any] = [None] * self.world_size
        try:
            dist.all_gather_object(everybody, (name, value), group=self._group)
            # Not where it failed: then this rank is one that waited.
            control.waiting_at = ""
        except RuntimeError as error:
            error.add_note(f"The ranks were to meet at {name!r}.")
            raise
        if any(other != name for other, _ in everybody):
            came = ", ".join(f"rank {rank} to {other!r}" for rank, (other, _) in enumerate(everybody))
            raise RanksDisagree(
                f"The ranks came to different meetings: {came}. Something that all have to do, such as "
                "`self.log(..., sync_dist=True)` in an epoch-end hook, `trainer.save_checkpoint` or "
                "`strategy.barrier`, was done by some of them only. Take it out of `if trainer.is_global_zero:`."
            )
        return [each for _, each in everybody]

    def gather(self, name: str, value: Any = None) -> list[Any] | None:
        if self.world_size == 1 or self._group is None or self._alone:
            return [value] if self.is_global_zero else None
        # A meeting first: whoever came to something else must hear of it rather than receive this.
        self.meet(name)
        everybody: list[Any] | None = [None] * self.world_size if self.is_global_zero else None
        dist.gather_object(value, everybody, dst=0, group=self._group)
        return everybody

    def barrier(self, name: str | None = None) -> None:
        self.meet(name or "barrier")

    def broadcast(self, value: Any, src: int = 0) -> Any:
        if self._alone:
            return value
        return self.meet("broadcast", value if self.global_rank == src else None)[src if self._group else 0]

    def reduce(self, tensor: Any, group: Any = None, reduce_op: str | None = "mean") -> Any:
        if not isinstance(tensor, Tensor) or self._group is None or self._alone:
            return tensor
        word = str(reduce_op or "mean").lower()
        if word not in OPERATIONS:
            raise ValueError(f"reduce_op={reduce_op!r}: one of {', '.join(map(repr, OPERATIONS))} was expected.")
        reduced = tensor.detach().to(self.root_device, copy=True)
        dist.all_reduce(reduced, op=OPERATIONS[word], group=group)
        return reduced / dist.get_world_size(group) if word in ("mean", "avg") else reduced

    def reduce_logged(self, name: str, tensor: Tensor, reduce_op: str, group: Any = None) -> Tensor:
        """Bring the value of a step together; on the CPU where no other value, and no gradient, can be taken for it.

        Raises `RanksDisagree` where ranks came with other names. A GPU would have to be waited for to see that.
        """
        is_seen = self.root_device.type == "cpu" and group is None and self._data_group() is None
        if not is_seen or self._group is None or self._alone:
            return self.reduce(tensor, group, reduce_op)
        assert self._control is not None
        if self._control.log_group is None:
            self._control.log_group = dist.new_group(backend="gloo", timeout=self.timeout)
        # Each rank reduces by itself: that takes gloo half of the messages, and shows what each has brought.
        mine = torch.tensor([0, zlib.crc32(name.encode())], dtype=torch.float64)
        mine[0] = tensor.detach()
        everybody = [torch.empty_like(mine) for _ in range(self.world_size)]
        dist.all_gather(everybody, mine, group=self._control.log_group)
        values, codes = torch.stack(everybody).unbind(1)
        if (codes != mine[1]).any():
            # Every rank sees it, and here they hear what the others logged.
            self.meet(in_step(name))
            raise RanksDisagree(f"Rank {self.global_rank} logged {name!r}, and others something else.")
        return OF_ALL[reduce_op](values).to(tensor.dtype)

    def all_gather(self, tensor: Tensor, group: Any = None, sync_grads: bool = False) -> Tensor:
        if self._group is None:
            return tensor
        is_ours, group = group is None, self._data_group() if group is None else group
        if self._alone:
            return torch.stack([tensor] * dist.get_world_size(group))
        tensor = tensor.to(self.root_device).contiguous()
        if is_ours and self.root_device.type == "cpu":
            # gloo ends the process where sizes differ; a GPU would have to be waited for to be asked.
            self._check_alike(tensor)
        if sync_grads:
            from torch.distributed.nn.functional import all_gather  # late: only those who differentiate need it

            return torch.stack(list(all_gather(tensor, group=group or dist.group.WORLD)))
        gathered = [torch.zeros_like(tensor) for _ in range(dist.get_world_size(group))]
        dist.all_gather(gathered, tensor, group=group)
        return torch.stack(gathered)

    def _data_group(self) -> Any:
        """The ranks with different data; None for all."""
        return None

    def _check_alike(self, tensor: Tensor) -> None:
        found = self.meet("all_gather", (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")))
        if len(set(found)) > 1:
            told = ", ".join(f"rank {rank} {list(shape)} of {dtype}" for rank, (shape, dtype) in enumerate(found))
            raise RanksDisagree(
                f"all_gather brings tensors of one shape and type together, and the ranks have others: {told}. Pad "
                "them to the longest, or gather them as objects: `torch.distributed.all_gather_object`."
            )

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        everybody = self.meet("a decision", bool(decision))
        return min(everybody) if all else max(everybody)
