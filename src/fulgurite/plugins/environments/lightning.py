"""Plain machines: the processes are started by the first one, or by hand."""

import os

from fulgurite.base import ports
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_only, rank_zero_warn
from fulgurite.core.cluster import ClusterEnvironment, number

DEVICES = "Pass Trainer(devices=..., num_nodes=...) as the processes were started, or start as many as it says."

NAMES = ("MASTER_ADDR", "NODE_RANK", "GROUP_RANK")
"""What is set on each machine, where somebody starts the processes of several."""
ALONE = (
    "Trainer(num_nodes={nodes}), and nothing says which of the machines this is: neither MASTER_ADDR nor NODE_RANK is "
    "set. This process starts those of its own machine, {own} in all, and they wait until the others are started: on "
    "each machine by torchrun, in a SLURM job by srun, or by hand with MASTER_ADDR and MASTER_PORT of the first one "
    "and NODE_RANK. For the devices of this machine alone leave `num_nodes` out."
)


class LightningEnvironment(ClusterEnvironment):
    """Machines that nobody manages. It is taken where no other environment is found.

    ``python train.py`` starts one process, and that one the others. Processes that are started by hand say who they
    are: LOCAL_RANK in each of them, NODE_RANK (or GROUP_RANK) on each machine but the first, and everywhere the
    MASTER_ADDR and the MASTER_PORT of rank 0. The ranks in all and their number follow from ``devices`` and
    ``num_nodes``.
    """

    def __init__(self) -> None:
        self._world_size, self._global_rank = 1, 0

    @staticmethod
    def detect() -> bool:
        return True

    @property
    def creates_processes_externally(self) -> bool:
        """Whether LOCAL_RANK is set: what the first process starts has it as well."""
        return "LOCAL_RANK" in os.environ

    @property
    def main_address(self) -> str:
        """MASTER_ADDR; this machine where it is not set."""
        return os.environ.get("MASTER_ADDR") or "127.0.0.1"

    @property
    def main_port(self) -> int:
        """MASTER_PORT. Where it is not set the first process finds a free one, holds it, and sets it for the others.

        Raises ``MisconfigurationException`` in any other process.
        """
        if not os.environ.get("MASTER_PORT"):
            if self.node_rank() or self.local_rank() or self._global_rank:
                raise MisconfigurationException(
                    f"MASTER_PORT is not set in process {self.local_rank()} of machine {self.node_rank()}, which can't "
                    "know the port of rank 0. Set MASTER_ADDR and MASTER_PORT alike for all processes, or start them "
                    "with torchrun."
                )
            os.environ["MASTER_PORT"] = str(ports.hold_free_port())
        return number("MASTER_PORT")

    def world_size(self) -> int:
        return self._world_size

    def set_world_size(self, size: int) -> None:
        self._world_size = size

    def global_rank(self) -> int:
        return self._global_rank

    def set_global_rank(self, rank: int) -> None:
        self._global_rank = rank_zero_only.rank = rank  # type: ignore[attr-defined]

    def local_rank(self) -> int:
        return number("LOCAL_RANK", default=0)

    def node_rank(self) -> int:
        return number("NODE_RANK", "GROUP_RANK", default=0)

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Raise ``ValueError`` where LOCAL_RANK, NODE_RANK or WORLD_SIZE have no place among them.

        Warns where there shall be other machines, and nothing says which one this is.
        """
        if not self.creates_processes_externally:
            if num_nodes > 1 and not any(os.environ.get(name) for name in NAMES):
                rank_zero_warn(ALONE.format(nodes=num_nodes, own=num_devices))
            return
        asked = f"Trainer(devices={num_devices}, num_nodes={num_nodes})"
        for name, rank, count in (
            ("LOCAL_RANK", self.local_rank(), num_devices),
            ("NODE_RANK", self.node_rank(), num_nodes),
        ):
            if not 0 <= rank < count:
                raise ValueError(f"{name} is {rank}, but with {asked} it lies between 0 and {count - 1}. {DEVICES}")
        size = number("WORLD_SIZE", default=num_devices * num_nodes)
        if size != num_devices * num_nodes:
            raise ValueError(f"WORLD_SIZE is {size}, but {asked} means {num_devices * num_nodes} processes. {DEVICES}")

    def teardown(self) -> None:
        """Drop WORLD_SIZE, which would be of the run that is over."""
        os.environ.pop("WORLD_SIZE", None)
