"""What `Trainer(plugins=[...])` takes beside a precision, each loaded when it is first named."""

from typing import TYPE_CHECKING

from fulgurite.base.lazy import lazily

if TYPE_CHECKING:
    from fulgurite.core.checkpoint_io import CheckpointIO as CheckpointIO
    from fulgurite.core.checkpoint_io import TorchCheckpointIO as TorchCheckpointIO
    from fulgurite.plugins.async_checkpoint_io import AsyncCheckpointIO as AsyncCheckpointIO
    from fulgurite.plugins.layer_sync import LayerSync as LayerSync
    from fulgurite.plugins.layer_sync import TorchSyncBatchNorm as TorchSyncBatchNorm

_HOME = {
    "AsyncCheckpointIO": "fulgurite.plugins.async_checkpoint_io",
    "CheckpointIO": "fulgurite.core.checkpoint_io",
    "LayerSync": "fulgurite.plugins.layer_sync",
    "TorchCheckpointIO": "fulgurite.core.checkpoint_io",
    "TorchSyncBatchNorm": "fulgurite.plugins.layer_sync",
}

__getattr__, __dir__, __all__ = lazily(__name__, _HOME, modules=["environments"])
