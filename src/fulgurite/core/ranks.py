"""The processes of a run: how many there are, which one this is, and what they do together."""

from typing import Any

from torch import Tensor


def in_step(name: str) -> str:
    """What ranks meet at that log ``name`` for a step."""
    return f"self.log({name!r}, on_step=True, sync_dist=True)"


class Ranks:
    """One process, which agrees with itself. Strategies of several override what they do together."""

    @property
    def world_size(self) -> int:
        return 1

    @property
    def global_rank(self) -> int:
        return 0

    @property
    def local_rank(self) -> int:
        return 0

    @property
    def node_rank(self) -> int:
        return 0

    @property
    def was_freed(self) -> bool:
        """Whether ranks that waited for one another as they were asked to end came back by the end of one of them."""
        return False

    @property
    def data_world_size(self) -> int:
        """Among how many the data are shared out: processes that hold parts of one model read the same."""
        return self.world_size

    @property
    def data_rank(self) -> int:
        return self.global_rank

    @property
    def data_copies(self) -> int:
        """How many processes next to one another read the same data."""
        return self.world_size // self.data_world_size

    @property
    def is_global_zero(self) -> bool:
        return self.global_rank == 0

    def meet(self, name: str, value: Any = None) -> list[Any]:
        """Wait for all processes at the point called ``name`` and return everybody's ``value``, by rank."""
        return [value]

    def gather(self, name: str, value: Any = None) -> list[Any] | None:
        """Send ``value`` to rank 0, which gets everybody's, by rank; None elsewhere."""
        return [value]

    def barrier(self, name: str | None = None) -> None:
        """Wait for all processes."""

    def broadcast(self, value: Any, src: int = 0) -> Any:
        """Return the ``value`` of rank ``src``, on every rank."""
        return value

    def reduce(self, tensor: Any, group: Any = None, reduce_op: str | None = "mean") -> Any:
        """Return the mean, or "sum", "min", "max", of a tensor over all processes; other things as they are."""
        return tensor

    def reduce_logged(self, name: str, tensor: Tensor, reduce_op: str, group: Any = None) -> Tensor:
        """`reduce` for the value of a step that ``self.log`` calls ``name``."""
        return tensor

    def all_gather(self, tensor: Tensor, group: Any = None, sync_grads: bool = False) -> Tensor:
        """Return everybody's tensor along a new first dimension; one process gets its own as it is."""
        return tensor

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        """Whether all processes, or any, decided so."""
        return decision

    def lead(self) -> None:
        """Begin a step that some ranks have no batch for: they take part in its forward passes by `follow`."""

    def end_lead(self) -> None:
        """The step is done."""

    def follow(self) -> None:
        """Take part in the forward passes of those that have a batch, without one."""
