"""Processes that a launcher started: what each environment makes of its variables.

A record holds the answers, or ``raises``; the sentences are not compared, nor which exception tells of a variable that
is not set.
"""

import importlib
import os
import socket
from contextlib import contextmanager
from typing import Any

from parity.scenarios.kit import Scenarios

SCENARIOS = Scenarios()
OURS = ("SLURM", "LSB_", "JSM_", "MASTER_", "TORCHELASTIC", "RANK", "WORLD_SIZE", "LOCAL_", "NODE_RANK", "GROUP_RANK")

SLURM = {
    "SLURM_JOB_ID": "1234567", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_NODEID": "1", "SLURM_NODELIST": "node[3-5,8]",
    "SLURM_NNODES": "2", "SLURM_STEP_ID": "0",
}  # fmt: skip
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x", "MASTER_ADDR": "first", "MASTER_PORT": "123", "WORLD_SIZE": "4", "RANK": "3",
    "LOCAL_RANK": "1", "GROUP_RANK": "1",
}  # fmt: skip
LSF = {
    "LSB_JOBID": "1234", "LSB_DJOB_RANKFILE": "ranks.txt", "JSM_NAMESPACE_LOCAL_RANK": "1", "JSM_NAMESPACE_SIZE": "4",
    "JSM_NAMESPACE_RANK": "3",
}  # fmt: skip
KUBEFLOW = {"MASTER_ADDR": "1.2.3.4", "MASTER_PORT": "500", "WORLD_SIZE": "20", "RANK": "5"}


def but(variables: dict[str, str], *left_out: str, **changed: str) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in left_out} | changed


CASES: dict[str, list[dict[str, str]]] = {
    "LightningEnvironment": [
        {},
        {"LOCAL_RANK": "1", "NODE_RANK": "2", "MASTER_PORT": "9"},
        {"LOCAL_RANK": "0", "GROUP_RANK": "3", "MASTER_ADDR": "first", "MASTER_PORT": "9"},
        {"LOCAL_RANK": "one", "MASTER_PORT": "9"},
    ],
    "TorchElasticEnvironment": [
        {},
        TORCHRUN,
        but(TORCHRUN, "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK"),
        but(TORCHRUN, "TORCHELASTIC_RUN_ID"),
        but(TORCHRUN, WORLD_SIZE="2"),
    ],
    "SLURMEnvironment": [
        {},
        SLURM,
        but(SLURM, "SLURM_NTASKS"),
        but(SLURM, "SLURM_PROCID"),
        but(SLURM, "SLURM_NODELIST"),
        but(SLURM, "SLURM_NTASKS_PER_NODE"),
        but(SLURM, SLURM_JOB_NAME="bash"),
        but(SLURM, SLURM_JOB_NAME="interactive"),
        but(SLURM, MASTER_ADDR="z", MASTER_PORT="77"),
        but(SLURM, SLURM_JOB_ID="12"),
        but(SLURM, SLURM_NTASKS="2", SLURM_NNODES="1", SLURM_NODEID="0", SLURM_PROCID="1"),
        but(SLURM, SLURM_NTASKS="1", SLURM_NTASKS_PER_NODE="1", SLURM_NNODES="1"),
    ],
    "LSFEnvironment": [
        {},
        LSF,
        but(LSF, "LSB_DJOB_RANKFILE"),
        but(LSF, LSB_DJOB_RANKFILE="none.txt"),
        but(LSF, LSB_JOBID="98765432"),
        but(LSF, MASTER_ADDR="z", MASTER_PORT="77"),
    ],
    "KubeflowEnvironment": [{}, KUBEFLOW],
}


@contextmanager
def environment(variables: dict[str, str]):
    """The variables of one launcher, and of no other."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(OURS):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def answer(ask) -> Any:
    try:
        return ask()
    except Exception:
        return "raises"


def answers(kind: type) -> dict[str, Any]:
    found: dict[str, Any] = {"detect": answer(kind.detect)}
    made = answer(kind)
    if made == "raises":
        return {**found, "made": False}
    for name in ("main_address", "main_port", "creates_processes_externally"):
        found[name] = answer(lambda name=name: getattr(made, name))
    for name in ("world_size", "global_rank", "local_rank", "node_rank"):
        found[name] = answer(getattr(made, name))
    for devices, nodes in ((1, 1), (2, 1), (2, 2)):
        found[f"devices={devices}, num_nodes={nodes}"] = answer(lambda d=devices, n=nodes: made.validate_settings(d, n))
    made.set_world_size(7)
    made.set_global_rank(5)
    return {**found, "told": [answer(made.world_size), answer(made.global_rank)]}


def scenario(name: str):
    def run(pl, folder):
        kind = getattr(importlib.import_module(f"{pl.__name__}.plugins.environments"), name)
        # The first line is of the machine that launches, as LSF writes it.
        (folder / "ranks.txt").write_text("\n".join(["batch", "hosta", "hosta", *[socket.gethostname()] * 2]))
        record = {}
        for number, variables in enumerate(CASES[name]):
            here = {key: str(folder / value) if value.endswith(".txt") else value for key, value in variables.items()}
            with environment(here):
                record[f"case {number}"] = answers(kind)
        if not CASES[name][0] and name == "LightningEnvironment":
            record["case 0"]["main_port"] = record["case 0"]["main_port"] > 1024
        return record

    return run


for title in CASES:
    SCENARIOS[title.removesuffix("Environment").lower()] = scenario(title)


def hosts(pl, folder):
    """The first host of a list of nodes."""
    slurm = importlib.import_module(f"{pl.__name__}.plugins.environments").SLURMEnvironment
    lists = (
        "node1", "node[1-3,5]", "host[05-08]", "alpha,beta,gamma", "alpha,beta[2-3]", "x[7],y", "a-b-[11-12,20]",
        "n[1,3-4]-ib0", "one two", "one[2-3] two[4]",
    )  # fmt: skip
    return {nodes: slurm.resolve_root_node_address(nodes) for nodes in lists}


SCENARIOS["hosts"] = hosts
