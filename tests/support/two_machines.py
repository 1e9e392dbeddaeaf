"""Trains on two machines: ``python two_machines.py FOLDER DEVICES``; each rank writes its weights there."""

import sys

import torch

from fulgurite import Trainer
from fulgurite.testing import QUIET, TinyModule, batches

if __name__ == "__main__":
    folder, devices = sys.argv[1:]
    settings = {**QUIET, "max_epochs": 2, "num_nodes": 2, "devices": int(devices)}
    trainer = Trainer(**settings)
    model = TinyModule()
    size = 8 // trainer.world_size
    trainer.fit(model, batches(16 // size, size))
    ranks = (trainer.global_rank, trainer.node_rank, trainer.local_rank, trainer.world_size, trainer.num_nodes)
    torch.save((ranks, model.state_dict()), f"{folder}/{trainer.global_rank}.pt")
