"""A place of your own for checkpoints: here compressed files."""

import gzip
import os

import torch

import fulgurite as pl
from fulgurite.plugins import CheckpointIO
from fulgurite.testing import BoringModel


class Compressed(CheckpointIO):
    def save_checkpoint(self, checkpoint, path, storage_options=None):
        level = (storage_options or {}).get("level", 6)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with gzip.open(f"{path}.part", "wb", compresslevel=level) as file:
            torch.save(checkpoint, file)
        os.replace(f"{path}.part", path)  # under its name only when it is whole

    def load_checkpoint(self, path, map_location=None, weights_only=None):
        with gzip.open(path, "rb") as file:
            return torch.load(file, map_location=map_location, weights_only=weights_only is not False)

    def remove_checkpoint(self, path):
        if os.path.exists(path):
            os.remove(path)


quiet = dict(logger=False, enable_progress_bar=False, enable_model_summary=False)
trainer = pl.Trainer(plugins=[Compressed()], max_epochs=1, **quiet)
trainer.fit(BoringModel())
trainer.save_checkpoint("small.ckpt", storage_options={"level": 9})
print(f"{os.path.getsize('small.ckpt')} bytes")

resumed = pl.Trainer(plugins=[Compressed()], max_epochs=2, **quiet)
resumed.fit(BoringModel(), ckpt_path="small.ckpt")
print(f"went on to step {resumed.global_step}")
