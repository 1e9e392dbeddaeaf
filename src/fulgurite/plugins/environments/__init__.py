"""Who started the processes of a run: one environment for each way, each loaded when it is first named."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.core.cluster import ClusterEnvironment as ClusterEnvironment
    from fulgurite.plugins.environments.choose import choose_environment as choose_environment
    from fulgurite.plugins.environments.kubeflow import KubeflowEnvironment as KubeflowEnvironment
    from fulgurite.plugins.environments.lightning import LightningEnvironment as LightningEnvironment
    from fulgurite.plugins.environments.lsf import LSFEnvironment as LSFEnvironment
    from fulgurite.plugins.environments.mpi import MPIEnvironment as MPIEnvironment
    from fulgurite.plugins.environments.slurm import SLURMEnvironment as SLURMEnvironment
    from fulgurite.plugins.environments.torchelastic import TorchElasticEnvironment as TorchElasticEnvironment

_HOME = {
    "ClusterEnvironment": "fulgurite.core.cluster",
    "KubeflowEnvironment": "fulgurite.plugins.environments.kubeflow",
    "LSFEnvironment": "fulgurite.plugins.environments.lsf",
    "LightningEnvironment": "fulgurite.plugins.environments.lightning",
    "MPIEnvironment": "fulgurite.plugins.environments.mpi",
    "SLURMEnvironment": "fulgurite.plugins.environments.slurm",
    "TorchElasticEnvironment": "fulgurite.plugins.environments.torchelastic",
    "choose_environment": "fulgurite.plugins.environments.choose",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
