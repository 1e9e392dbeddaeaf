"""Ray Train runs the same module: its workers are the ranks."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fulgurite import Trainer
from fulgurite.testing import QUIET, TinyModule, batches

SCRIPT = Path(__file__).parents[1] / "support" / "ray_train.py"


@pytest.mark.slow
def test_workers_of_ray_train_together(tmp_path):
    """Two workers have the weights of one process with the whole batch, within 1e-6."""
    pytest.importorskip("ray.train.torch", reason="Ray is not installed: pip install 'ray[train]'")
    subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], check=True, timeout=200)

    alone = TinyModule()
    Trainer(**{**QUIET, "max_epochs": 1}).fit(alone, batches(2, 4))
    for rank in range(2):
        number, world, weights = torch.load(tmp_path / f"{rank}.pt")
        assert (number, world) == (rank, 2)
        assert all(torch.allclose(weights[name], value, atol=1e-6) for name, value in alone.state_dict().items())
