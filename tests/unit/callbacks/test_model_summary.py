"""The model summary: what it counts, what it prints, and that it leaves no trace in the model."""

import pytest
import torch
from torch import nn

from fulgurite.callbacks import ModelSummary, RichModelSummary
from fulgurite.core.module import LightningModule
from fulgurite.core.summary import get_human_readable_count, summarize
from fulgurite.trainer import Trainer

QUIET = dict(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)


class Net(LightningModule):
    def __init__(self, example=True):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.5))
        self.head = nn.Linear(16, 4)
        self.head.weight.requires_grad = False
        self.head.eval()
        self.own = nn.Parameter(torch.zeros(3))
        if example:
            self.example_input_array = torch.rand(2, 8)

    def forward(self, x):
        return self.head(self.body(x))

    def training_step(self, batch, batch_idx):
        return self(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_layers_sizes_and_totals():
    """Each layer with its parameters, mode, sizes and operations; totals over everything."""
    summary = summarize(Net())
    assert summary.layer_names == ["body", "head"]
    assert summary.layer_types == ["Sequential", "Linear"]
    assert summary.param_nums == [176, 68]
    assert summary.training_modes == [True, False]
    assert summary.in_sizes == [[2, 8], [2, 16]]
    assert summary.out_sizes == [[2, 16], [2, 4]]
    assert (summary.total_parameters, summary.trainable_parameters, summary.total_layer_params) == (247, 183, 244)
    assert summary.total_training_modes == {"train": 5, "eval": 1}
    assert summary.model_size == pytest.approx(247 * 4e-6)
    assert summary.total_flops == 2 * 2 * (8 * 16 + 16 * 4)


def test_the_table():
    """What is printed, to the letter."""
    assert str(summarize(Net(), max_depth=2)).splitlines() == [
        "  | Name         | Type        | Params | Mode  | FLOPs | In sizes | Out sizes",
        "------------------------------------------------------------------------------",
        "0 | body         | Sequential  | 176    | train | 512   | [2, 8]   | [2, 16]  ",
        "1 | body.0       | Linear      | 144    | train | 512   | [2, 8]   | [2, 16]  ",
        "2 | body.1       | ReLU        | 0      | train | 0     | [2, 16]  | [2, 16]  ",
        "3 | body.2       | BatchNorm1d | 32     | train | 0     | [2, 16]  | [2, 16]  ",
        "4 | body.3       | Dropout     | 0      | train | 0     | [2, 16]  | [2, 16]  ",
        "5 | head         | Linear      | 68     | eval  | 256   | [2, 16]  | [2, 4]   ",
        "  | other params | n/a         | 3      | n/a   | n/a   | n/a      | n/a      ",
        "------------------------------------------------------------------------------",
        "183       Trainable params",
        "64        Non-trainable params",
        "247       Total params",
        "0.001     Total estimated model params size (MB)",
        "5         Modules in train mode",
        "1         Modules in eval mode",
        "768       Total FLOPs",
    ]


@pytest.mark.parametrize(("depth", "names"), [(0, 0), (1, 2), (2, 6), (-1, 6)])
def test_depths(depth, names):
    """0 shows no layer, 1 the children, -1 all; the totals stay."""
    summary = summarize(Net(example=False), max_depth=depth)
    assert (len(summary.layer_names), summary.total_parameters) == (names, 247)
    assert "FLOPs" not in str(summary)


def test_the_example_leaves_no_trace():
    """Modes, random state, running statistics and gradients are after it what they were before."""
    model = Net()
    before = [module.training for module in model.modules()]
    state, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    summarize(model)
    assert [module.training for module in model.modules()] == before
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_shared_weight_counts_once():
    """Tied layers both show their parameters; the totals count them once and nothing is left over."""

    class Tied(LightningModule):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.two.weight = self.one.weight

    summary = summarize(Tied())
    assert (summary.param_nums, summary.total_parameters, summary.total_layer_params) == ([16, 16], 16, 16)
    assert "other params" not in str(summary)


def test_lazy_layers():
    """A lazy layer is counted as soon as the example has given it a size; without one there is a warning."""

    class Lazy(LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = nn.LazyLinear(4)

        def forward(self, x):
            return self.layer(x)

    with pytest.warns(UserWarning, match="example_input_array"):
        assert summarize(Lazy()).total_parameters == 0
    model = Lazy()
    model.example_input_array = {"x": torch.rand(2, 5)}
    assert summarize(model).total_parameters == 24


def test_lazy_layers_train_under_the_default_summary():
    """Layers without a size yet are printed as empty, and training gives them one."""

    class Lazy(Net):
        def __init__(self):
            super().__init__(example=False)
            self.body = nn.Sequential(nn.LazyLinear(16), nn.ReLU())

    model = Lazy()
    with pytest.warns(UserWarning, match="lazy layers"):
        Trainer(max_epochs=1, **QUIET).fit(model, torch.utils.data.DataLoader(torch.rand(4, 8), batch_size=2))

    assert model.body[0].weight.shape == (16, 8)


def test_bad_depth():
    """A depth below -1 is refused with its value."""
    with pytest.raises(ValueError, match="max_depth=-2"):
        summarize(Net(), max_depth=-2)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0 K"), (99_999, "100.0 K"), (123_456, "123 K"), (12_345_678, "12.3 M")],
)
def test_counts_are_readable(number, text):
    """Thousands have letters."""
    assert get_human_readable_count(number).strip() == text


def test_fit_prints_the_table_and_users_may_do_otherwise(monkeypatch):
    """The trainer's own summary is on by default; `summarize` and `max_depth` change it, 0 silences it."""
    said = []
    monkeypatch.setattr("fulgurite.callbacks.model_summary.rank_zero_info", said.append)
    loader = torch.utils.data.DataLoader(torch.rand(4, 8), batch_size=2)

    class Mine(ModelSummary):
        @staticmethod
        def summarize(summary_data, total_parameters, trainable_parameters, model_size, total_training_modes, **more):
            said.append((summary_data[1], total_parameters, more["word"]))

    Trainer(max_epochs=1, **QUIET).fit(Net(), loader)
    Trainer(max_epochs=1, callbacks=[Mine(max_depth=1, word="hi")], **QUIET).fit(Net(), loader)
    Trainer(max_epochs=1, callbacks=[ModelSummary(max_depth=0)], **QUIET).fit(Net(), loader)

    table, mine = said
    assert "| Name " in table and "247       Total params" in table
    assert mine == (("Name", ["body", "head", "other params"]), 247, "hi")


def test_the_rich_table(capsys):
    """The same cells and totals, drawn by rich."""
    loader = torch.utils.data.DataLoader(torch.rand(4, 8), batch_size=2)
    Trainer(max_epochs=1, callbacks=[RichModelSummary(max_depth=2)], **QUIET).fit(Net(), loader)
    shown = capsys.readouterr().out
    assert "body.2" in shown and "Total params" in shown and "247" in shown
    assert shown.endswith("\n")
