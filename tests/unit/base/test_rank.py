"""Which process speaks, before a Trainer knows."""

import os
import subprocess
import sys

import pytest

from fulgurite.base.rank import current_rank

VARIABLES = (
    "RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "JSM_NAMESPACE_RANK",
    "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "MV2_COMM_WORLD_RANK",
)  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "rank"),
    [
        ({}, 0),
        ({"RANK": "3", "LOCAL_RANK": "1"}, 3),
        ({"RANK": "", "SLURM_PROCID": "2"}, 2),
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0"}, 1),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, 1),
        ({"LOCAL_RANK": "1", "GROUP_RANK": "1", "LOCAL_WORLD_SIZE": "4"}, 5),
        ({"SLURM_PROCID": "6"}, 6),
        ({"JSM_NAMESPACE_RANK": "2"}, 2),
        ({"OMPI_COMM_WORLD_RANK": "2"}, 2),
        ({"PMI_RANK": "4"}, 4),
    ],
)
def test_the_rank_of_each_launcher(monkeypatch, variables, rank):
    """A process on another machine is never taken for the first one."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert current_rank() == rank


def test_what_is_no_number_is_named(monkeypatch):
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(ValueError, match="RANK is 'first', and an int was expected"):
        current_rank()


@pytest.mark.parametrize("name", ["RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK", "OMPI_COMM_WORLD_RANK"])
def test_only_rank_zero_speaks(name):
    """From the import on, without a Trainer."""
    program = "from fulgurite.base.rank import rank_zero_only; rank_zero_only(print)('here')"
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**{key: value for key, value in os.environ.items() if key not in VARIABLES}, name: rank},
            capture_output=True, text=True, check=True,
        ).stdout
        for rank in ("0", "1")
    ]  # fmt: skip

    assert said == ["here\n", ""]
