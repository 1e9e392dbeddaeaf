"""What the summary of a model says: its columns and totals."""

from functools import partial
from typing import Any

import torch
from torch import nn

from parity.scenarios.kit import Bench, Scenarios, batches

SCENARIOS = Scenarios()
MODELS: dict[str, Any] = {}


def model(build):
    MODELS[build.__name__] = build
    return build


def summarised(pl, folder, *, name, max_depth=1) -> dict[str, Any]:
    """Return what a subclass of ModelSummary is given to print."""
    bench, given = Bench(pl, folder), {}

    class Taking(pl.callbacks.ModelSummary):
        @staticmethod
        def summarize(summary_data, total_parameters, trainable_parameters, model_size, total_training_modes, **more):
            given.update(
                columns={header.strip() or "row": list(map(str, cells)) for header, cells in summary_data},
                totals=[total_parameters, trainable_parameters, round(model_size, 9), more["total_flops"]],
                modes=dict(total_training_modes),
            )

    class Summarised(bench.Tiny):
        def __init__(self):
            super().__init__()
            MODELS[name](self)

    trainer = bench.trainer(callbacks=[Taking(max_depth=max_depth)], enable_model_summary=True)
    trainer.fit(Summarised(), batches(1))
    return given


@model
def with_example(module):
    module.net = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 1))
    module.net[0].weight.requires_grad = False
    module.net[3].eval()
    module.example_input_array = torch.rand(2, 3)


@model
def with_example_in_a_tuple(module):
    module.example_input_array = (torch.rand(2, 3),)


@model
def with_example_by_name(module):
    module.example_input_array = {"x": torch.rand(2, 3)}


@model
def recurrent(module):
    class Read(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 1)

        def forward(self, x):
            return self.head(self.cell(x[:, None])[0][:, 0])

    module.net = Read()
    module.example_input_array = torch.rand(2, 3)


@model
def convolving(module):
    module.net = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv1d(1, 8, 2), nn.Flatten(), nn.Linear(16, 1))
    module.example_input_array = torch.rand(2, 3)


@model
def with_half_of_it_unused(module):
    module.spare = nn.Linear(1000, 200).half()
    module.table = nn.Embedding(7, 5)
    module.example_input_array = torch.rand(2, 3)


for _name in MODELS:
    for _depth in (1, -1):
        SCENARIOS[f"{_name}_{'all' if _depth < 0 else 'children'}"] = partial(summarised, name=_name, max_depth=_depth)
