"""Which environment a process was started in."""

from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.plugins.environments.lightning import LightningEnvironment
from fulgurite.plugins.environments.torchelastic import TorchElasticEnvironment

# torchrun is often started by one of the others, which then knows of machines, not of processes.
KINDS: tuple[type[ClusterEnvironment], ...] = (TorchElasticEnvironment,)


def choose_environment() -> ClusterEnvironment:
    """Return the first environment that is found; a ``LightningEnvironment`` where none is."""
    found = next((kind for kind in KINDS if kind.detect()), LightningEnvironment)
    return found()
