"""The losses of a training, one number an epoch."""

from collections import defaultdict
from typing import Any

from fulgurite.core.callback import Callback


class Losses(Callback):
    """Notes every number that a model logs, at the end of each epoch."""

    def __init__(self) -> None:
        self.epochs = 0
        self.losses: dict[str, list[float]] = defaultdict(list)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.epochs += 1
        for name, value in trainer.callback_metrics.items():
            if not name.endswith("_step"):
                self.losses[name.removesuffix("_epoch")].append(float(value))
