"""Which environment a process was started in."""

import os

from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.plugins.environments.lightning import LightningEnvironment
from fulgurite.plugins.environments.lsf import LSFEnvironment
from fulgurite.plugins.environments.mpi import MPIEnvironment
from fulgurite.plugins.environments.slurm import SLURMEnvironment
from fulgurite.plugins.environments.torchelastic import TorchElasticEnvironment

# torchrun is often started by one of the others, which then knows of machines, not of processes.
IN_ORDER = (TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment, MPIEnvironment)


def processes_started(environment: ClusterEnvironment) -> int:
    """How many processes there are, as far as it is known without a Trainer; 1 where it is not."""
    if isinstance(environment, SLURMEnvironment) and not SLURMEnvironment.in_step():
        return 1
    # One of the user's own may have its size from the Trainer alone.
    return environment.world_size() if type(environment) in IN_ORDER else 1


def choose_environment() -> ClusterEnvironment:
    """Return the first environment that is found; a ``LightningEnvironment`` where none is."""
    for kind in IN_ORDER:
        if kind.detect():
            return kind()
    if all(os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")):
        # Ray Train and others number their processes as torchrun does.
        return TorchElasticEnvironment()
    return LightningEnvironment()
