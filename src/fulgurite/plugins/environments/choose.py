"""Which environment a process was started in."""

import os

from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.plugins.environments.lightning import LightningEnvironment
from fulgurite.plugins.environments.torchelastic import TorchElasticEnvironment

# torchrun is often started by one of the others, which then knows of machines, not of processes.
KINDS: tuple[type[ClusterEnvironment], ...] = (TorchElasticEnvironment,)


def choose_environment() -> ClusterEnvironment:
    """Return the first environment that is found; a ``LightningEnvironment`` where none is."""
    found = next((kind for kind in KINDS if kind.detect()), None)
    if found is None and all(os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")):
        # Ray Train and others number their processes as torchrun does.
        found = TorchElasticEnvironment
    return (found or LightningEnvironment)()
