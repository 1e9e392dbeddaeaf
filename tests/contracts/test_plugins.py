"""The plugins that come along keep their contracts."""

import inspect
import socket
import sys
import types

import fulgurite.plugins
from fulgurite.base.rank import rank_zero_only
from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.plugins import AsyncCheckpointIO, CheckpointIO, TorchCheckpointIO, environments
from fulgurite.testing.checkpoint_io_contract import CheckpointIOContract
from fulgurite.testing.cluster_environment_contract import ClusterEnvironmentContract


class TestTorchCheckpointIO(CheckpointIOContract):
    def make(self, tmp_path):
        return TorchCheckpointIO()


class TestAsyncCheckpointIO(CheckpointIOContract):
    def make(self, tmp_path):
        return AsyncCheckpointIO()


class TestAsyncCheckpointIOWithAnother(CheckpointIOContract):
    def make(self, tmp_path):
        return AsyncCheckpointIO(TorchCheckpointIO())


def contracts(base):
    return [each for each in globals().values() if inspect.isclass(each) and issubclass(each, base) and each != base]


def test_no_checkpoint_io_is_forgotten(tmp_path):
    """Every public one has a contract; the base class is there to be subclassed only."""
    public = {getattr(fulgurite.plugins, name) for name in fulgurite.plugins.__all__}
    kinds = {each for each in public if inspect.isclass(each) and issubclass(each, CheckpointIO)}
    assert {type(each().make(tmp_path)) for each in contracts(CheckpointIOContract)} == kinds - {CheckpointIO}


def told(monkeypatch, **variables):
    """Set what a launcher sets for process 1 of 2."""
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


PLACE = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}


class TestLightningEnvironment(ClusterEnvironmentContract):
    def make(self, monkeypatch):
        told(monkeypatch, LOCAL_RANK="1", **PLACE)
        made = environments.LightningEnvironment()
        made.set_world_size(2)
        made.set_global_rank(1)
        return made


class TestTorchElasticEnvironment(ClusterEnvironmentContract):
    def make(self, monkeypatch):
        told(monkeypatch, TORCHELASTIC_RUN_ID="x", WORLD_SIZE="2", RANK="1", LOCAL_RANK="1", **PLACE)
        return environments.TorchElasticEnvironment()


class TestSLURMEnvironment(ClusterEnvironmentContract):
    def make(self, monkeypatch):
        job = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NODELIST": "n[1-2]"}
        told(monkeypatch, SLURM_PROCID="1", SLURM_LOCALID="1", SLURM_NODEID="0", **job)
        return environments.SLURMEnvironment()


class TestLSFEnvironment(ClusterEnvironmentContract):
    def make(self, monkeypatch):
        with open("ranks", "w") as file:
            file.write(f"batch\n{socket.gethostname()}\n")
        jsm = {f"JSM_NAMESPACE_{name}": value for name, value in (("RANK", "1"), ("LOCAL_RANK", "1"), ("SIZE", "2"))}
        told(monkeypatch, LSB_JOBID="7", LSB_DJOB_RANKFILE="ranks", **jsm)
        return environments.LSFEnvironment()


class TestKubeflowEnvironment(ClusterEnvironmentContract):
    def make(self, monkeypatch):
        told(monkeypatch, WORLD_SIZE="2", RANK="1", **PLACE)
        return environments.KubeflowEnvironment()


class TestMPIEnvironment(ClusterEnvironmentContract):
    """MPI itself is in tests/unit/plugins/environments/test_mpi.py, where it is installed."""

    def make(self, monkeypatch):
        told(monkeypatch)
        package, module = types.ModuleType("mpi4py"), types.ModuleType("mpi4py.MPI")
        package.__spec__ = module.__spec__ = types.SimpleNamespace(name="mpi4py")
        module.COMM_WORLD = types.SimpleNamespace(
            Get_size=lambda: 2,
            Get_rank=lambda: 1,
            allgather=lambda own: ["a", "a"],
            bcast=lambda own, root: ("a", 4242),
        )
        monkeypatch.setitem(sys.modules, "mpi4py", package)
        monkeypatch.setitem(sys.modules, "mpi4py.MPI", module)
        return environments.MPIEnvironment()


def test_no_environment_is_forgotten(monkeypatch):
    """Every public one has a contract."""
    public = {getattr(environments, name) for name in environments.__all__}
    kinds = {each for each in public if inspect.isclass(each)} - {ClusterEnvironment}
    assert {type(each().make(monkeypatch)) for each in contracts(ClusterEnvironmentContract)} == kinds
