"""A training that is killed at random moments, also in the middle of saves, ends as one that was not killed.

Compared are weights, optimizer, random states, metrics, the best checkpoints' scores, and the rows of two loggers: none
twice, none missing, each with the same numbers.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLING = Path(__file__).parents[1] / "support" / "killing.py"


def killed(folder, kills, patience):
    done = subprocess.run(
        [sys.executable, str(KILLING), str(folder), str(kills), "1"],
        env=dict(os.environ, OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=patience,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forked")
@pytest.mark.parametrize(
    ("kills", "saves"),
    [(15, 2), pytest.param(200, 40, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
    ids=["15 kills", "200 kills"],
)
def test_a_training_that_is_killed_ends_as_one_that_is_not(tmp_path, kills, saves):
    """So many kills, some of them while a checkpoint was being written."""
    found = killed(tmp_path, kills, 1700 if kills > 15 else 250)

    assert found["differences"] == []
    assert found["kills"] == kills and found["during saves"] >= saves
