"""Who started the processes of a run: one environment for each way, each loaded when it is first named."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.core.cluster import ClusterEnvironment as ClusterEnvironment
    from fulgurite.plugins.environments.choose import choose_environment as choose_environment
    from fulgurite.plugins.environments.lightning import LightningEnvironment as LightningEnvironment
    from fulgurite.plugins.environments.torchelastic import TorchElasticEnvironment as TorchElasticEnvironment

_HOME = {
    "ClusterEnvironment": "fulgurite.core.cluster",
    "LightningEnvironment": "fulgurite.plugins.environments.lightning",
    "TorchElasticEnvironment": "fulgurite.plugins.environments.torchelastic",
    "choose_environment": "fulgurite.plugins.environments.choose",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME)
