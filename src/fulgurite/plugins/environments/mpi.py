"""Processes that mpirun started."""

import functools
import os
import socket
import sys
from importlib import import_module
from typing import Any

from fulgurite.base import ports
from fulgurite.base.errors import MissingExtra
from fulgurite.base.optional import available
from fulgurite.base.rank import MPI_RANKS
from fulgurite.core.cluster import ClusterEnvironment, first_set


class MPIEnvironment(ClusterEnvironment):
    """``mpirun -np 4 python train.py``: MPI starts the processes, and mpi4py, which must be installed, knows them.

    The MASTER_ADDR and a free MASTER_PORT are those of rank 0, which tells the others, so that all must ask. A machine
    is known by its host name.
    """

    def __init__(self) -> None:
        if not available("mpi4py"):
            raise MissingExtra("MPIEnvironment needs mpi4py, which is not installed: pip install mpi4py", name="mpi4py")
        self._world: Any = import_module("mpi4py.MPI").COMM_WORLD

    @staticmethod
    def detect() -> bool:
        """Whether mpi4py is there and mpirun started more than one process.

        Loading mpi4py begins to use MPI, so a program that neither loads it nor was started by mpirun is left alone.
        """
        if "mpi4py.MPI" not in sys.modules and first_set(MPI_RANKS) is None:
            return False
        return available("mpi4py") and import_module("mpi4py.MPI").COMM_WORLD.Get_size() > 1

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._meeting_point[0]

    @property
    def main_port(self) -> int:
        return self._meeting_point[1]

    @functools.cached_property
    def _meeting_point(self) -> tuple[str, int]:
        address, port = os.environ.get("MASTER_ADDR") or socket.gethostname(), os.environ.get("MASTER_PORT")
        mine = (address, int(port) if port else ports.hold_free_port()) if self.global_rank() == 0 else None
        return self._world.bcast(mine, root=0)

    @functools.cached_property
    def _machines(self) -> list[str]:
        """The host of each process, by its rank."""
        return list(self._world.allgather(socket.gethostname()))

    def world_size(self) -> int:
        return int(self._world.Get_size())

    def set_world_size(self, size: int) -> None: ...

    def global_rank(self) -> int:
        return int(self._world.Get_rank())

    def set_global_rank(self, rank: int) -> None: ...

    def local_rank(self) -> int:
        """How many processes of lower rank are on this machine."""
        rank = self.global_rank()
        return self._machines[:rank].count(self._machines[rank])

    def node_rank(self) -> int:
        """The place of this machine in the order in which they first appear."""
        return list(dict.fromkeys(self._machines)).index(self._machines[self.global_rank()])
