"""Two machines: network namespaces of this one, each with an address of its own and nothing else to reach."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fulgurite import Trainer
from fulgurite.testing import QUIET, TinyModule, batches

SCRIPT = str(Path(__file__).parents[1] / "support" / "two_machines.py")
HOSTS = ("10.213.0.1", "10.213.0.2")


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


@pytest.fixture
def machines():
    """The names of two namespaces that are wired to one another."""
    names = [f"fulgurite-{os.getpid()}-{number}" for number in range(2)]
    wires = [f"fg{os.getpid() % 100000}{end}" for end in "ab"]
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip`")
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", wires[0], "type", "veth", "peer", "name", wires[1])
        for name, wire, host in zip(names, wires, HOSTS, strict=True):
            ip("link", "set", wire, "netns", name)
            ip("-n", name, "addr", "add", f"{host}/24", "dev", wire)
            ip("-n", name, "link", "set", wire, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    yield list(zip(names, wires, strict=True))
    for name in names:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


def run_on(machines, command, **variables):
    """Run ``command(node)`` on both machines at once, and wait for both."""
    shared = {"MASTER_ADDR": HOSTS[0], "MASTER_PORT": "29555", "OMP_NUM_THREADS": "1", **variables}
    started = []
    for node, (name, wire) in enumerate(machines):
        environ = {**os.environ, **shared, "NODE_RANK": str(node), "GLOO_SOCKET_IFNAME": wire}
        started.append(subprocess.Popen(["ip", "netns", "exec", name, *command(node)], env=environ))
    assert [process.wait(120) for process in started] == [0, 0]


def check(folder, ranks):
    """The weights of all ranks are those of one process with the whole batch, within 1e-6."""
    alone = TinyModule()
    Trainer(**{**QUIET, "max_epochs": 2}).fit(alone, batches(2, 8))
    found = [torch.load(folder / f"{rank}.pt") for rank in range(len(ranks))]
    assert [told for told, _ in found] == ranks
    for _, weights in found:
        assert all(torch.allclose(weights[name], value, atol=1e-6) for name, value in alone.state_dict().items())


@pytest.mark.slow
def test_processes_started_by_hand(machines, tmp_path):
    """The script is started once on each machine, and starts the second process there itself."""
    run_on(machines, lambda node: [sys.executable, SCRIPT, str(tmp_path), "2"])

    check(tmp_path, [(0, 0, 0, 4, 2), (1, 0, 1, 4, 2), (2, 1, 0, 4, 2), (3, 1, 1, 4, 2)])


@pytest.mark.slow
def test_torchrun(machines, tmp_path):
    """torchrun on each machine, one process each."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    where = [f"--master-addr={HOSTS[0]}", "--master-port=29556"]
    run_on(machines, lambda node: [*torchrun, *where, f"--node-rank={node}", SCRIPT, str(tmp_path), "1"])

    check(tmp_path, [(0, 0, 0, 2, 2), (1, 1, 0, 2, 2)])
