"""An exported network gives the parts that the model gives, for any number of rows, and says how to feed it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fulgurite.anomaly import AnomalyDetector
from fulgurite.anomaly.export import export, inputs_of
from fulgurite.anomaly.generator import generate
from fulgurite.base.errors import MisconfigurationException
from support.zscore import ZScore

OPTIONS = {"window": {"window": 12}, "seed": {"layer_sizes": (8, 4), "latent_dim": 2}}
SERIES = generate(rows=500, kinds=("spike",), seed=2)


@pytest.fixture(scope="module", params=["window", "seed"])
def detector(request):
    """Either model, hardly trained."""
    found = AnomalyDetector(request.param, epochs=1, threshold="fixed:2", options=OPTIONS[request.param])
    return found.fit(SERIES.rows(None, 400))


@pytest.fixture
def wanted(detector):
    """The parts of the rows that a model begun anew can judge."""
    parts = detector.model_.score(SERIES.rows(400), {}).parts
    return parts[~np.isnan(parts).any(axis=1)]


@pytest.mark.parametrize("rows", [1, 7, None])
def test_a_torch_program_gives_the_same_parts(detector, wanted, rows):
    """To the last bit of the same batch, to 1e-5 in another."""
    export(detector, "net.pt2")
    network = torch.export.load("net.pt2").module()
    inputs = [each[:rows] for each in inputs_of(detector, SERIES.rows(400))]

    parts, _ = network(*inputs)

    found = ~np.isnan(SERIES.value[400:])[-len(parts) :] if rows is None else slice(None)
    difference = np.abs(parts.detach().numpy()[found] - wanted[:rows]).max()
    assert difference <= (1e-6 if rows is None else 1e-5)


def test_an_onnx_file_gives_the_same_parts(detector, wanted):
    """By ONNX's own reference; it differs by less than 1e-5."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    from onnx.reference import ReferenceEvaluator

    _, beside = export(detector, "net.onnx", "onnx")
    model = onnx.load("net.onnx")
    names = list(json.loads(beside.read_text())["network"]["inputs"])
    inputs = dict(zip(names, (each[:5].numpy() for each in inputs_of(detector, SERIES.rows(400))), strict=True))
    used = {each.name for each in model.graph.input}

    parts, _ = ReferenceEvaluator(model).run(None, {name: each for name, each in inputs.items() if name in used})

    assert np.abs(parts - wanted[:5]).max() < 1e-5


def test_what_is_needed_around_it_lies_beside_and_inside(detector):
    """Columns, scalers, words, threshold and the names of the parts, as JSON."""
    path, beside = export(detector, "net.pt2")
    inside = {"metadata.json": ""}
    torch.export.load(path, extra_files=inside)
    about = json.loads(beside.read_text())

    assert json.loads(inside["metadata.json"]) == about
    assert about["parts"] == list(detector.model_.part_names)
    assert about["schema"]["value"] == "value"
    assert about["threshold"]["level"] == 2
    assert about["preparation"]
    assert len(about["network"]["inputs"]) == len(inputs_of(detector, SERIES.rows(400)))


def test_only_known_models_and_formats_are_exported(detector):
    """Nothing is written otherwise."""
    with pytest.raises(MisconfigurationException, match="format='jit'"):
        export(detector, "net.pt", "jit")
    with pytest.raises(MisconfigurationException, match="ZScore"):
        export(AnomalyDetector(ZScore(), threshold="fixed:1").fit(SERIES.rows(None, 300)), "net.pt2")
    assert not list(Path().iterdir())
