"""A process that no launcher started."""

import os

import pytest

from fulgurite.base.rank import rank_zero_only

OF_LAUNCHERS = (
    "SLURM", "LSB_", "JSM_", "LSF_", "OMPI_", "PMI", "MASTER_", "TORCHELASTIC", "RANK", "WORLD_SIZE", "LOCAL_",
    "NODE_RANK", "GROUP_", "KUBERNETES",
)  # fmt: skip


@pytest.fixture
def bare(monkeypatch):
    """The environment without a launcher's variables, to be filled by ``setenv``."""
    for name in list(os.environ):
        if name.startswith(OF_LAUNCHERS):
            monkeypatch.delenv(name)
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    return monkeypatch
