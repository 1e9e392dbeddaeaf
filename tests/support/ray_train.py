"""Trains with Ray Train: ``python ray_train.py FOLDER``; each worker writes its weights there."""

import sys
from pathlib import Path

import ray
import torch
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

from fulgurite import Trainer
from fulgurite.testing import QUIET, TinyModule, batches


def train(config: dict[str, str]) -> None:
    torch.manual_seed(0)
    model = TinyModule()
    trainer = Trainer(**{**QUIET, "max_epochs": 1})
    trainer.fit(model, batches(4, 2))
    torch.save(
        (trainer.global_rank, trainer.world_size, model.state_dict()), f"{config['folder']}/{trainer.global_rank}.pt"
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    ray.init(num_cpus=2, include_dashboard=False)
    TorchTrainer(train, train_loop_config={"folder": str(folder)}, scaling_config=ScalingConfig(num_workers=2)).fit()
