"""The environment is found by the variables that a launcher sets."""

from fulgurite.plugins.environments import LightningEnvironment, TorchElasticEnvironment, choose_environment


def test_a_plain_process_is_in_none(bare):
    assert type(choose_environment()) is LightningEnvironment


def test_torchrun_is_found(bare):
    bare.setenv("TORCHELASTIC_RUN_ID", "none")
    assert type(choose_environment()) is TorchElasticEnvironment
