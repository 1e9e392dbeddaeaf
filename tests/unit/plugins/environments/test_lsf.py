"""Jobs of LSF: the variables of jsrun, and the file with the machines."""

import socket

import pytest

from fulgurite.base.errors import MisconfigurationException
from fulgurite.plugins.environments import LSFEnvironment, choose_environment


@pytest.fixture
def job(bare, tmp_path):
    """Returns what writes the rank file."""
    ranks = tmp_path / "ranks"
    variables = {"LSB_JOBID": "71234", "LSB_DJOB_RANKFILE": str(ranks)}
    variables |= {"JSM_NAMESPACE_LOCAL_RANK": "1", "JSM_NAMESPACE_SIZE": "4", "JSM_NAMESPACE_RANK": "3"}
    for name, value in variables.items():
        bare.setenv(name, value)
    return lambda *hosts: ranks.write_text("\n".join(hosts))


def test_a_process_knows_who_it_is(job):
    """The machine that launches is the first in the file, and not one of those that compute."""
    job("batch", "other", "other", socket.gethostname(), socket.gethostname())
    environment = choose_environment()

    assert type(environment) is LSFEnvironment and environment.creates_processes_externally
    assert (environment.world_size(), environment.global_rank()) == (4, 3)
    assert (environment.local_rank(), environment.node_rank()) == (1, 1)
    assert (environment.main_address, environment.main_port) == ("other", 10234)


def test_a_machine_is_known_without_its_domain(job):
    job("batch", f"{socket.gethostname().partition('.')[0]}.some.where")
    assert LSFEnvironment().node_rank() == 0


@pytest.mark.parametrize(
    ("hosts", "said"), [(("batch", "other"), "is not among .*: other"), (("batch",), "has 1 lines")]
)
def test_files_that_cannot_be_right(job, hosts, said):
    job(*hosts)
    with pytest.raises(MisconfigurationException, match=said):
        LSFEnvironment()


def test_no_file(job, bare):
    with pytest.raises(MisconfigurationException, match="which can't be read"):
        LSFEnvironment()
    bare.delenv("LSB_DJOB_RANKFILE")
    assert not LSFEnvironment.detect()
    with pytest.raises(MisconfigurationException, match="LSB_DJOB_RANKFILE is not set"):
        LSFEnvironment()
