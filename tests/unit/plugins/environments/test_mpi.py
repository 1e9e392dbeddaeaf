"""Processes of mpirun: with MPI where it is installed, and everywhere with a stand-in that answers like mpi4py."""

import os
import shutil
import subprocess
import sys
import types

import pytest

from fulgurite.base.errors import MissingExtra
from fulgurite.plugins.environments import LightningEnvironment, MPIEnvironment, choose_environment

SCRIPT = """
import sys
from fulgurite.base.rank import rank_zero_only
from fulgurite.plugins.environments import choose_environment

it = choose_environment()
assert rank_zero_only.rank == it.global_rank()
ranks = it.world_size(), it.global_rank(), it.local_rank(), it.node_rank()
said = type(it).__name__, *ranks, it.creates_processes_externally, it.main_address, it.main_port
open(f"{sys.argv[1]}/{it.global_rank()}", "w").write(repr(said))
"""


def test_under_mpirun(bare, tmp_path):
    """Three real processes on this machine agree on the place where they meet."""
    pytest.importorskip("mpi4py")
    mpirun = shutil.which("mpirun") or shutil.which("mpirun", path=os.path.dirname(sys.executable))
    if mpirun is None:
        pytest.skip("there is no mpirun")
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [mpirun, "-n", "3", sys.executable, str(tmp_path / "script.py"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})

    said = [eval((tmp_path / str(rank)).read_text()) for rank in range(3)]
    assert [each[:6] for each in said] == [("MPIEnvironment", 3, rank, rank, 0, True) for rank in range(3)]
    assert len({each[6:] for each in said}) == 1


class World:
    """What mpi4py's ``COMM_WORLD`` answers in process 2 of 4, two on each of two machines."""

    def __init__(self, rank, told):
        self.rank, self.told = rank, told

    def Get_size(self):
        return 4

    def Get_rank(self):
        return self.rank

    def allgather(self, mine):
        return [*["first"] * 2, *["second"] * 2]

    def bcast(self, value, root):
        assert root == 0 and (value is None) == (self.rank != 0)
        return value or self.told


@pytest.fixture
def world(bare):
    """Returns what makes this process one of four."""

    def be(rank):
        package, module = types.ModuleType("mpi4py"), types.ModuleType("mpi4py.MPI")
        package.__spec__ = types.SimpleNamespace(name="mpi4py")
        module.COMM_WORLD = World(rank, ("first", 4242))
        bare.setitem(sys.modules, "mpi4py", package)
        bare.setitem(sys.modules, "mpi4py.MPI", module)
        return choose_environment()

    return be


def test_a_process_knows_who_it_is(world):
    environment = world(2)

    assert type(environment) is MPIEnvironment and environment.creates_processes_externally
    assert (environment.world_size(), environment.global_rank()) == (4, 2)
    assert (environment.local_rank(), environment.node_rank()) == (0, 1)
    assert (environment.main_address, environment.main_port) == ("first", 4242)


def test_rank_zero_says_where_they_meet(world, bare):
    bare.setenv("MASTER_ADDR", "here")
    environment = world(0)
    assert environment.main_address == "here" and environment.main_port == environment.main_port > 1024
    bare.setenv("MASTER_PORT", "77")
    assert MPIEnvironment().main_port == 77


def test_a_program_that_mpirun_did_not_start_does_not_load_mpi(bare, tmp_path):
    """Loading mpi4py begins to use MPI, which a program that has it installed may not want."""
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").write_text("raise RuntimeError('loaded')")
    bare.syspath_prepend(tmp_path)
    bare.delitem(sys.modules, "mpi4py", raising=False)

    assert type(choose_environment()) is LightningEnvironment


def test_without_the_package_it_says_so(bare):
    bare.setitem(sys.modules, "mpi4py", None)
    bare.setenv("OMPI_COMM_WORLD_RANK", "1")
    assert not MPIEnvironment.detect()
    with pytest.raises(MissingExtra, match="pip install mpi4py"):
        MPIEnvironment()
