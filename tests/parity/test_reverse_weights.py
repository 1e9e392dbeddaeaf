"""Files of a run with weights on the move go on in the other library: Lightning's here, and ours there."""

import logging

import pytest
import torch

import fulgurite
from parity.scenarios.kit import Bench, batches
from parity.scenarios.weights import layered

lightning = pytest.importorskip("lightning.pytorch")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

MAKERS = {
    "WeightAveraging": lambda given: given.WeightAveraging(),
    "EMAWeightAveraging": lambda given: given.EMAWeightAveraging(decay=0.8),
    "StochasticWeightAveraging": lambda given: given.StochasticWeightAveraging(
        0.01, swa_epoch_start=2, annealing_epochs=2
    ),
    "BackboneFinetuning": lambda given: given.BackboneFinetuning(1),
    "GradientAccumulationScheduler": lambda given: given.GradientAccumulationScheduler({1: 2}),
}
# What Lightning does not keep it cannot go on with: what was frozen.
LOST_THERE = {"BackboneFinetuning"}


def fit(library, make, folder, norm, ckpt_path=None):
    """Train five epochs, each with its file; return the model."""
    logging.disable(logging.WARNING)
    bench, given = Bench(library, folder), library.callbacks
    files = given.ModelCheckpoint(
        dirpath=folder / "kept", filename="{epoch}", auto_insert_metric_name=False, save_top_k=-1
    )
    trainer = bench.trainer(callbacks=[make(given), files], max_epochs=5, enable_checkpointing=True)
    model = layered(bench, norm)()
    trainer.fit(model, batches(3), batches(2, seed=1), ckpt_path=ckpt_path)
    return model


@pytest.mark.parametrize("norm", [False, True], ids=["plain", "norm"])
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("there", [False, True], ids=["to Fulgurite", "to Lightning"])
def test_the_other_library_goes_on_to_the_same_weights(tmp_path, name, norm, there):
    """Resumed after the third epoch, in the midst of what the callback does."""
    if there and name in LOST_THERE:
        pytest.skip("Lightning's files do not say what was frozen, and it does not ask ours")
    libraries = (fulgurite, lightning) if there else (lightning, fulgurite)
    expected = fit(libraries[0], MAKERS[name], tmp_path / "one", norm).state_dict()

    found = fit(libraries[1], MAKERS[name], tmp_path / "other", norm, tmp_path / "one/kept/2.ckpt").state_dict()

    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6)
