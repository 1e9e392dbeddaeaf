"""What holds on the CPU, and the tests of a GPU, on a stand-in for one (`support.stand_in`)."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from support import stand_in
from support.stand_in.build import compiler

TESTS = Path(__file__).parents[1]
HERE = "not cpu and not slow and not clients and not deep"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(torch.version.cuda is not None, reason="this torch has CUDA's own device"),
    pytest.mark.skipif(compiler() is None, reason="nothing compiles C++ here; set CXX, or install g++"),
]


def passed(*given, devices=1, instead=False, kind="cuda"):
    """Run these tests there; how many passed. Fails with what failed."""
    environ = stand_in.environ(devices, instead, kind)
    asked = f"import torch; print(torch.{kind}.device_count(), torch.ones(1, device='{kind}').device)"
    assert subprocess.check_output([sys.executable, "-c", asked], env=environ, text=True) == f"{devices} {kind}:0\n"
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *given]
    done = subprocess.run(command, env=environ, cwd=TESTS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return int(done.stdout.rsplit(" passed", 1)[0].split()[-1])


def test_the_tests_of_a_gpu():
    """With two of them: none is skipped."""
    assert passed("tests/unit/test_gpu.py", "tests/distributed/test_nccl.py", devices=2) >= 25


@pytest.mark.parametrize(("folder", "least"), [("unit", 2000), ("parity", 200)])
def test_what_holds_on_the_cpu(folder, least):
    """But for what says of itself that it is about the CPU."""
    assert passed(f"tests/{folder}", "-m", HERE, "-n", "2", instead=True) > least


def test_the_seed_program():
    """As it is, and under Lightning's names; to its last line."""
    assert passed("tests/examples/test_examples.py", "-k", "seed_program") == 3


def test_several_ranks():
    """Each on a GPU of its own, over what bears NCCL's name."""
    assert passed("tests/distributed", "-m", HERE, "-n", "2", devices=4, instead=True) > 50


def test_resuming_on_an_apple_gpu():
    """To the bit, its own random numbers included; it has no float64."""
    chosen = ["tests/unit/test_exact_resume.py", "-k", "not 64", "-m", HERE, "-n", "2"]
    assert passed(*chosen, instead=True, kind="mps") > 50
