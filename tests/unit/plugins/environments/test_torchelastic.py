"""torchrun's variables."""

import subprocess
import sys

import pytest

from fulgurite.base.errors import MisconfigurationException
from fulgurite.plugins.environments import TorchElasticEnvironment

SCRIPT = """
import sys
from fulgurite.base.rank import rank_zero_only
from fulgurite.plugins.environments import choose_environment

it = choose_environment()
it.validate_settings(2, 1)
assert rank_zero_only.rank == it.global_rank()
ranks = it.world_size(), it.global_rank(), it.local_rank(), it.node_rank()
said = type(it).__name__, *ranks, it.creates_processes_externally, it.main_address
open(f"{sys.argv[1]}/{it.global_rank()}", "w").write(repr(said))
"""


def test_under_torchrun(tmp_path):
    """Two real processes know who they are."""
    (tmp_path / "script.py").write_text(SCRIPT)
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*run, str(tmp_path / "script.py"), str(tmp_path)], check=True, timeout=120, capture_output=True)

    for rank in (0, 1):
        name, size, this, local, node, external, address = eval((tmp_path / str(rank)).read_text())
        assert (name, size, this, local, node, external) == ("TorchElasticEnvironment", 2, rank, rank, 0, True)
        assert address


def test_a_world_of_another_size_is_refused(bare):
    bare.setenv("WORLD_SIZE", "4")
    with pytest.raises(ValueError, match="means 2 processes, but torchrun started 4"):
        TorchElasticEnvironment().validate_settings(num_devices=2, num_nodes=1)


def test_without_torchrun_it_says_what_is_missing(bare):
    for ask in (TorchElasticEnvironment().world_size, TorchElasticEnvironment().global_rank):
        with pytest.raises(MisconfigurationException, match="is not set. torchrun sets it"):
            ask()


def test_a_missing_address_is_this_machine(bare):
    with pytest.warns(UserWarning, match="MASTER_ADDR is not set"):
        assert TorchElasticEnvironment().main_address == "127.0.0.1"
    with pytest.warns(UserWarning, match="MASTER_PORT is not set"):
        assert TorchElasticEnvironment().main_port == 12910
