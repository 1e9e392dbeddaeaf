"""The same summary as a table of rich; arguments of `rich.table.Table` make it yours."""

import importlib.util

import torch

import fulgurite as pl
from fulgurite.callbacks import RichModelSummary
from fulgurite.testing import BoringModel


def main():
    model = BoringModel()
    model.example_input_array = torch.randn(8, 32)
    summary = RichModelSummary(max_depth=1, title="What is trained", header_style="bold cyan")
    trainer = pl.Trainer(
        max_steps=1, callbacks=[summary], logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(model)


if importlib.util.find_spec("rich"):
    main()
else:
    print('rich is not installed: pip install "fulgurite[rich]"')
