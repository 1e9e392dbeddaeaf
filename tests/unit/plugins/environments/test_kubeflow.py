"""Pods of a PyTorchJob."""

import pytest

from fulgurite.base.errors import MisconfigurationException
from fulgurite.plugins.environments import KubeflowEnvironment


def test_a_pod_is_a_machine_with_one_process(bare):
    for name, value in {"MASTER_ADDR": "1.2.3.4", "MASTER_PORT": "500", "WORLD_SIZE": "20", "RANK": "5"}.items():
        bare.setenv(name, value)
    environment = KubeflowEnvironment()

    assert (environment.main_address, environment.main_port) == ("1.2.3.4", 500)
    assert (environment.world_size(), environment.global_rank()) == (20, 5)
    assert (environment.local_rank(), environment.node_rank()) == (0, 5)
    assert environment.creates_processes_externally


def test_it_has_to_be_passed(bare):
    with pytest.raises(NotImplementedError, match="plugins="):
        KubeflowEnvironment.detect()


def test_what_is_missing_is_named(bare):
    for ask in (lambda it: it.main_address, lambda it: it.main_port, lambda it: it.world_size()):
        with pytest.raises(MisconfigurationException, match="is not set. The operator"):
            ask(KubeflowEnvironment())
