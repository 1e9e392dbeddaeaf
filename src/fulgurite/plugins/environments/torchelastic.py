"""Processes that torchrun started."""

import os

from fulgurite.base.rank import warn_once
from fulgurite.core.cluster import ClusterEnvironment, number

WAY_OUT = "torchrun sets it: start the script with `torchrun --nproc-per-node=... train.py`."


class TorchElasticEnvironment(ClusterEnvironment):
    """``torchrun --nproc-per-node=2 train.py``: it starts all processes, and tells each who it is."""

    @staticmethod
    def detect() -> bool:
        """Whether TORCHELASTIC_RUN_ID is set."""
        return "TORCHELASTIC_RUN_ID" in os.environ

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return _set("MASTER_ADDR", "127.0.0.1")

    @property
    def main_port(self) -> int:
        _set("MASTER_PORT", "12910")
        return number("MASTER_PORT")

    def world_size(self) -> int:
        return number("WORLD_SIZE", way_out=WAY_OUT)

    def set_world_size(self, size: int) -> None: ...

    def global_rank(self) -> int:
        return number("RANK", way_out=WAY_OUT)

    def set_global_rank(self, rank: int) -> None: ...

    def local_rank(self) -> int:
        return number("LOCAL_RANK", way_out=WAY_OUT)

    def node_rank(self) -> int:
        return number("GROUP_RANK", default=0)

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Raise ``ValueError`` where torchrun started another number of processes."""
        started = self.world_size()
        if num_devices * num_nodes != started:
            raise ValueError(
                f"Trainer(devices={num_devices}, num_nodes={num_nodes}) means {num_devices * num_nodes} processes, but "
                f"torchrun started {started}. `devices` is its --nproc-per-node and `num_nodes` its --nnodes."
            )


def _set(name: str, default: str) -> str:
    """Return the variable; where it has no value, set it to ``default`` and say so."""
    if not os.environ.get(name):
        warn_once(f"{name} is not set, though torchrun sets it. It is set to {default}: right for one machine only.")
        os.environ[name] = default
    return os.environ[name]
