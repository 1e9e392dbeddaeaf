"""A module leaves for other runtimes: what they compute is what it computes."""

import importlib.util

import pytest
import torch

from fulgurite import LightningModule, Trainer
from fulgurite.base.errors import MissingExtra
from fulgurite.testing import QUIET, TinyModule, batches

pytestmark = pytest.mark.filterwarnings("ignore:There is a .validation_step.")
BATCH = {"batch": {0: torch.export.Dim("n")}}


class Two(LightningModule):
    """Takes two inputs by name, and drops out half of the first in training."""

    def __init__(self):
        super().__init__()
        self.layer, self.dropout = torch.nn.Linear(4, 2), torch.nn.Dropout(0.5)

    def forward(self, x, weight):
        return self.layer(self.dropout(x)) * weight


def model_after(fitted):
    """A model with an example, new or trained, and its trainer."""
    model, trainer = TinyModule(), Trainer(max_epochs=1, **QUIET)
    model.example_input_array = torch.ones(2, 4)
    if fitted:
        trainer.fit(model, batches(2))
    return model, trainer


@pytest.mark.skipif(importlib.util.find_spec("onnx") is not None, reason="onnx is installed")
def test_onnx_names_its_extra():
    """Without the package the error says what to install."""
    with pytest.raises(MissingExtra, match=r"fulgurite\[onnx\]"):
        TinyModule().to_onnx("model.onnx", torch.ones(1, 4))


@pytest.mark.parametrize("fitted", [False, True])
def test_onnx(fitted, tmp_path):
    """The file is sound and computes the same, by ONNX's own reference; the example is used where none is given."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    reference = pytest.importorskip("onnx.reference")
    model, trainer = model_after(fitted)

    model.to_onnx(tmp_path / "model.onnx")

    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"))
    sample = torch.randn(2, 4)
    runtime = reference.ReferenceEvaluator(str(tmp_path / "model.onnx"))
    (output,) = runtime.run(None, {runtime.input_names[0]: sample.numpy()})
    assert torch.allclose(torch.from_numpy(output), model(sample), atol=1e-6)
    assert model.training and (not fitted or model.trainer is trainer)


@pytest.mark.parametrize("fitted", [False, True])
def test_an_exported_program(fitted, tmp_path):
    """Loaded it computes the same for every batch size that was asked for; modes and trainer stay."""
    model, trainer = model_after(fitted)

    program = model.to_exported_program(tmp_path / "models" / "model.pt2", dynamic_shapes=BATCH)

    for rows in (2, 5):
        sample = torch.randn(rows, 4)
        for one in (program, torch.export.load(tmp_path / "models" / "model.pt2")):
            assert torch.allclose(one.module()(sample), model(sample))
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["model.pt2"]
    assert model.training and (not fitted or model.trainer is trainer)


@pytest.mark.parametrize("by_name", [False, True])
def test_an_exported_program_of_several_inputs(by_name):
    """A tuple is spread over the arguments, a dict names them; the program is in evaluation mode."""
    model, x, weight = Two(), torch.randn(2, 4), torch.randn(2, 1)

    program = model.to_exported_program(input_sample={"x": x, "weight": weight} if by_name else (x, weight))

    model.eval()
    given = {"x": x, "weight": weight}
    output = program.module()(**given) if by_name else program.module()(x, weight)
    assert torch.allclose(output, model(x, weight))


def test_a_program_has_fixed_sizes_unless_told(tmp_path):
    """Torch says so when another one comes, instead of computing something wrong."""
    model, _ = model_after(False)
    program = model.to_exported_program()

    with pytest.raises(Exception, match="(?i)guard|shape|size|expected"):
        program.module()(torch.ones(3, 4))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("method", ["script", "trace"])
@pytest.mark.parametrize("fitted", [False, True])
def test_torchscript(method, fitted, tmp_path):
    """Scripted or traced, before a fit and after it, the same numbers; modes and trainer stay."""
    model, trainer = model_after(fitted)

    made = model.to_torchscript(tmp_path / "model.pt", method=method)

    sample = torch.randn(3, 4)
    for one in (made, torch.jit.load(str(tmp_path / "model.pt"))):
        assert torch.equal(one(sample), model(sample))
    assert model.training and not made.training
    assert not fitted or model.trainer is trainer


def test_exports_need_an_input():
    """Tracing without one names both ways to give it; an unknown method names the known ones."""
    for export in (lambda: TinyModule().to_torchscript(method="trace"), TinyModule().to_exported_program):
        with pytest.raises(ValueError, match="example_input_array"):
            export()
    with pytest.raises(ValueError, match="'script' or 'trace'"):
        TinyModule().to_torchscript(method="freeze")


def test_tensorrt_names_the_way():
    """What is not there says how to get there."""
    with pytest.raises(NotImplementedError, match="to_exported_program"):
        TinyModule().to_tensorrt("model.ts")
