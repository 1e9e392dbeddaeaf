"""Plain machines: what is set, what is found, and what can't be known."""

import os
import warnings

import pytest

from fulgurite.base import ports
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_only
from fulgurite.plugins.environments import LightningEnvironment
from support.ports import is_free


def test_one_process_is_alone(bare):
    """Nothing is set, so the process is the first, and would start the others."""
    environment = LightningEnvironment()

    assert not environment.creates_processes_externally
    assert (environment.world_size(), environment.global_rank()) == (1, 0)
    assert (environment.local_rank(), environment.node_rank()) == (0, 0)
    assert environment.main_address == "127.0.0.1"


def test_the_port_is_held_and_stays(bare):
    """Nobody else gets it before rank 0 listens, and whoever is started later inherits it."""
    port = LightningEnvironment().main_port
    assert not is_free(port)
    ports.let_go(port)

    assert os.environ["MASTER_PORT"] == str(port)
    assert LightningEnvironment().main_port == port


def test_processes_started_by_hand_say_who_they_are(bare):
    for name, value in {"MASTER_ADDR": "first", "MASTER_PORT": "9", "LOCAL_RANK": "1", "NODE_RANK": "2"}.items():
        bare.setenv(name, value)
    environment = LightningEnvironment()

    assert environment.creates_processes_externally
    assert (environment.main_address, environment.main_port) == ("first", 9)
    assert (environment.local_rank(), environment.node_rank()) == (1, 2)


def test_group_rank_is_the_machine_too(bare):
    bare.setenv("GROUP_RANK", "3")
    assert LightningEnvironment().node_rank() == 3


@pytest.mark.parametrize("name", ["LOCAL_RANK", "NODE_RANK"])
def test_another_process_cannot_guess_the_port(bare, name):
    """Two processes with a free port each would wait for each other for half an hour."""
    bare.setenv(name, "1")
    with pytest.raises(MisconfigurationException, match="MASTER_PORT is not set in process"):
        _ = LightningEnvironment().main_port


def test_the_trainer_tells_the_rest(bare):
    """Ranks among all follow from devices and nodes; what speaks on rank 0 alone knows at once."""
    environment = LightningEnvironment()
    environment.set_world_size(4)
    environment.set_global_rank(3)

    assert (environment.world_size(), environment.global_rank(), rank_zero_only.rank) == (4, 3, 3)


def test_nothing_of_a_run_is_left(bare):
    bare.setenv("WORLD_SIZE", "2")
    LightningEnvironment().teardown()
    assert "WORLD_SIZE" not in os.environ


def test_what_is_no_number_is_named(bare):
    bare.setenv("LOCAL_RANK", "one")
    with pytest.raises(MisconfigurationException, match="LOCAL_RANK is 'one', and an int was expected"):
        LightningEnvironment().local_rank()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LOCAL_RANK": "2"}, "LOCAL_RANK is 2, but with .*devices=2, num_nodes=1.* between 0 and 1"),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, "NODE_RANK is 1"),
        ({"LOCAL_RANK": "0", "WORLD_SIZE": "4"}, "WORLD_SIZE is 4, but .* means 2 processes"),
    ],
)
def test_contradictions_are_refused(bare, variables, said):
    for name, value in variables.items():
        bare.setenv(name, value)
    with pytest.raises(ValueError, match=said):
        LightningEnvironment().validate_settings(num_devices=2, num_nodes=1)


def test_what_fits_is_accepted(bare):
    """And where this process is to start the others, a left-over WORLD_SIZE is of no consequence."""
    bare.setenv("WORLD_SIZE", "8")
    LightningEnvironment().validate_settings(num_devices=2, num_nodes=1)
    bare.setenv("LOCAL_RANK", "1")
    LightningEnvironment().validate_settings(num_devices=2, num_nodes=4)


def test_other_machines_that_nobody_starts(bare):
    """It is told at once; not where something says which machine this is, nor to each process."""
    with pytest.warns(UserWarning, match=r"num_nodes=2\).*neither MASTER_ADDR nor NODE_RANK.*2 in all.*torchrun.*srun"):
        LightningEnvironment().validate_settings(num_devices=2, num_nodes=2)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LightningEnvironment().validate_settings(num_devices=2, num_nodes=1)
        for name in ("MASTER_ADDR", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK"):
            with bare.context() as only:
                only.setenv(name, "1")
                LightningEnvironment().validate_settings(num_devices=2, num_nodes=2)
