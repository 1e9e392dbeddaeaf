"""Layers down to the second level, with the sizes that an example input has on its way, and their operations."""

import torch
from torch import nn

import fulgurite as pl
from fulgurite.callbacks import ModelSummary
from fulgurite.testing import BoringModel


class Deep(BoringModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2))
        self.layer[0].weight.requires_grad = False
        self.example_input_array = torch.randn(8, 32)


class Short(ModelSummary):
    """A summary of your own: ``summarize`` gets the columns and the totals."""

    @staticmethod
    def summarize(summary_data, total_parameters, trainable_parameters, model_size, total_training_modes, **more):
        print(f"{total_parameters} parameters, {trainable_parameters} of them learn")


for summary in (ModelSummary(max_depth=2), Short()):
    trainer = pl.Trainer(
        max_steps=1, callbacks=[summary], logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(Deep())
