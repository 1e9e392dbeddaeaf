"""Jobs of SLURM: their variables, their hosts, and settings that contradict them. The signal is in test_requeue.py."""

import os
import signal
import warnings

import pytest

from fulgurite import Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_only
from fulgurite.plugins.environments import SLURMEnvironment, TorchElasticEnvironment, choose_environment
from fulgurite.testing import QUIET

JOB = {
    "SLURM_JOB_ID": "1234567", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_NODELIST": "node[07-09]",
    "SLURM_NNODES": "2", "SLURM_STEP_ID": "0",
}  # fmt: skip


@pytest.fixture
def job(bare):
    for name, value in JOB.items():
        bare.setenv(name, value)
    return bare


def test_a_task_knows_who_it_is(job):
    environment = choose_environment()

    assert type(environment) is SLURMEnvironment and environment.creates_processes_externally
    assert (environment.world_size(), environment.global_rank()) == (4, 3)
    assert (environment.local_rank(), environment.node_rank()) == (1, 1)
    assert (environment.main_address, environment.main_port) == ("node07", 19567)
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("node07", "19567")
    assert (environment.job_id(), environment.job_name(), environment.job) == (1234567, "train", "1234567")
    assert environment.auto_requeue and environment.requeue_signal == signal.SIGUSR1
    environment.validate_settings(num_devices=2, num_nodes=2)


def test_a_place_that_is_given_is_kept(job):
    job.setenv("MASTER_ADDR", "here")
    job.setenv("MASTER_PORT", "77")
    assert (SLURMEnvironment().main_address, SLURMEnvironment().main_port) == ("here", 77)


@pytest.mark.parametrize(
    ("arguments", "tells"), [({"devices": 1}, True), ({"devices": 1, "strategy": "single_device"}, False)]
)
def test_tasks_that_each_train_alone_are_told(job, arguments, tells):
    """It may be meant, but mostly is not; who asks for one device by name means it."""
    job.setattr(rank_zero_only, "rank", 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = Trainer(**{**QUIET, **arguments})

    assert trainer.world_size == 1
    assert any("4 processes were started (SLURMEnvironment)" in str(each.message) for each in caught) == tells


@pytest.mark.parametrize("without", ["tasks", "srun"])
def test_one_process_is_not_told_that_others_train_alone(without, job, recwarn):
    """A batch script without srun is one process, whatever the job has room for."""
    job.setattr(rank_zero_only, "rank", 0)
    if without == "srun":
        job.delenv("SLURM_STEP_ID")
    for name in ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_NNODES") if without == "tasks" else ():
        job.setenv(name, "1")
    Trainer(devices=1, **QUIET)

    assert not [each for each in recwarn if "processes were started" in str(each.message)]


def test_an_older_name_of_the_list_will_do(job):
    job.delenv("SLURM_NODELIST")
    job.setenv("SLURM_JOB_NODELIST", "b[2-3]")
    assert SLURMEnvironment().main_address == "b2"


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node[1-3,5]", "node1"),
        ("host[005-008]", "host005"),
        ("alpha,beta[2-3]", "alpha"),
        ("x[7],y", "x7"),
        ("n[1,3-4]-ib0,m", "n1-ib0"),
        ("rack[1-2]node[3,4]", "rack1node3"),
        ("one two", "one"),
        (" a-b-[11-12,20]", "a-b-11"),
    ],
)
def test_the_first_host(nodes, first):
    assert SLURMEnvironment.resolve_root_node_address(nodes) == first


@pytest.mark.parametrize("name", ["bash", "interactive"])
def test_a_session_at_a_prompt_is_no_launch(job, name):
    """There is one process, whatever the session was given, and it may be told any number of devices."""
    job.setenv("SLURM_JOB_NAME", name)
    job.delenv("SLURM_NTASKS_PER_NODE")

    assert not SLURMEnvironment.detect()
    assert SLURMEnvironment().job_id() is None
    SLURMEnvironment().validate_settings(num_devices=8, num_nodes=1)


def test_torchrun_in_a_job_comes_first(job):
    """srun started one torchrun on each machine, and that the processes."""
    job.setenv("TORCHELASTIC_RUN_ID", "1")
    assert type(choose_environment()) is TorchElasticEnvironment


@pytest.mark.parametrize(
    ("devices", "nodes", "said"),
    [
        (1, 2, r"devices=1\), but SLURM starts 2 tasks per node. Pass devices=2, or .*--ntasks-per-node=1"),
        (2, 1, r"num_nodes=1\), but the job has 2 nodes. Pass num_nodes=2, or .*--nodes=1"),
    ],
)
def test_other_numbers_are_refused(job, devices, nodes, said):
    with pytest.raises(ValueError, match=said):
        SLURMEnvironment().validate_settings(devices, nodes)


def test_tasks_without_a_number_per_node_are_counted(job):
    """Lightning refuses --ntasks; SLURM says how they are spread."""
    job.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(MisconfigurationException, match="starts 4 tasks.*--ntasks-per-node"):
        SLURMEnvironment()

    job.setenv("SLURM_TASKS_PER_NODE", "2(x2)")
    SLURMEnvironment().validate_settings(num_devices=2, num_nodes=2)
    job.setenv("SLURM_TASKS_PER_NODE", "3,1")
    with pytest.raises(MisconfigurationException, match="SLURM_TASKS_PER_NODE is '3,1': every node needs the same"):
        SLURMEnvironment()


def test_one_task_needs_no_number(bare):
    for name in ("SLURM_JOB_ID", "SLURM_NTASKS"):
        bare.setenv(name, "1")
    SLURMEnvironment().validate_settings(num_devices=1, num_nodes=1)


@pytest.fixture
def srun(bare, tmp_path):
    (tmp_path / "srun").touch(mode=0o755)
    bare.setenv("PATH", str(tmp_path))
    return bare


def test_a_job_without_srun_is_warned(srun):
    srun.setenv("SLURM_JOB_ID", "1")
    with pytest.warns(UserWarning, match="not started with srun"):
        assert not SLURMEnvironment.detect()


def test_a_batch_script_that_has_room_for_more_is_warned(srun):
    srun.setenv("SLURM_JOB_ID", "1")
    srun.setenv("SLURM_NTASKS", "4")
    with pytest.warns(UserWarning, match="it waits for the others of 4 tasks"):
        assert SLURMEnvironment.detect()


@pytest.mark.parametrize("variables", [{}, {"SLURM_JOB_ID": "1", "SLURM_JOB_NAME": "bash"}, JOB])
def test_others_are_not(srun, variables, recwarn):
    """A machine that merely has srun, a session, a job that uses it."""
    for name, value in variables.items():
        srun.setenv(name, value)
    SLURMEnvironment.detect()
    assert not recwarn.list


def test_the_task_of_an_array_has_two_numbers(job):
    job.setenv("SLURM_ARRAY_JOB_ID", "99")
    job.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert (SLURMEnvironment().job, SLURMEnvironment().array_task) == ("99_3", "3")


def test_what_is_missing_is_named(bare):
    for name in ("world_size", "global_rank", "local_rank", "node_rank"):
        with pytest.raises(MisconfigurationException, match="SLURM_.* is not set. srun sets it"):
            getattr(SLURMEnvironment(), name)()
    with pytest.raises(RuntimeError, match="SLURM_JOB_ID is not set"):
        SLURMEnvironment().requeue()


@pytest.mark.parametrize("given", ["SIGUSR1", 99999, 1.5])
def test_a_signal_that_is_none_is_refused(given):
    with pytest.raises(MisconfigurationException, match="requeue_signal="):
        SLURMEnvironment(requeue_signal=given)


def test_a_signal_may_be_its_number():
    assert SLURMEnvironment(requeue_signal=int(signal.SIGTERM)).requeue_signal is signal.SIGTERM
