"""Jobs of LSF: processes that jsrun started."""

import os
import socket
from pathlib import Path

from fulgurite.base.errors import MisconfigurationException
from fulgurite.core.cluster import ClusterEnvironment, number

WAY_OUT = "jsrun sets it: start the script with `jsrun python train.py` in the batch script of the job."
SET_IN_A_JOB = ("LSB_JOBID", "LSB_DJOB_RANKFILE", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_SIZE")


class LSFEnvironment(ClusterEnvironment):
    """``jsrun python train.py``: LSF starts a process for each device, and tells each who it is.

    The machines are those of LSB_DJOB_RANKFILE, without its first line, which names the one that launches. The first of
    them is the MASTER_ADDR, and the MASTER_PORT comes from the job's number unless it is set.

    Raises ``MisconfigurationException`` where the file is not there, or this machine is not in it.
    """

    def __init__(self) -> None:
        self._hosts = _hosts()
        self._node_rank = _place(socket.gethostname(), self._hosts)

    @staticmethod
    def detect() -> bool:
        """Whether all of LSF's variables are set."""
        return all(name in os.environ for name in SET_IN_A_JOB)

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        os.environ["MASTER_ADDR"] = self._hosts[0]
        return self._hosts[0]

    @property
    def main_port(self) -> int:
        """MASTER_PORT, which is set to one between 10000 and 10999, by the job's number, where it is not set."""
        if not os.environ.get("MASTER_PORT"):
            os.environ["MASTER_PORT"] = str(10000 + number("LSB_JOBID", way_out=WAY_OUT) % 1000)
        return number("MASTER_PORT")

    def world_size(self) -> int:
        return number("JSM_NAMESPACE_SIZE", way_out=WAY_OUT)

    def set_world_size(self, size: int) -> None: ...

    def global_rank(self) -> int:
        return number("JSM_NAMESPACE_RANK", way_out=WAY_OUT)

    def set_global_rank(self, rank: int) -> None: ...

    def local_rank(self) -> int:
        return number("JSM_NAMESPACE_LOCAL_RANK", way_out=WAY_OUT)

    def node_rank(self) -> int:
        return self._node_rank


def _hosts() -> list[str]:
    """The machines that compute, each once, in the order of the rank file."""
    name = os.environ.get("LSB_DJOB_RANKFILE")
    if not name:
        raise MisconfigurationException(f"The environment variable LSB_DJOB_RANKFILE is not set. {WAY_OUT}")
    try:
        lines = Path(name).read_text().split()
    except OSError as error:
        raise MisconfigurationException(f"LSB_DJOB_RANKFILE is {name!r}, which can't be read: {error}") from error
    if len(lines) < 2:
        raise MisconfigurationException(
            f"The rank file {name!r} has {len(lines)} lines; the machine that launches was expected, and those that "
            "compute."
        )
    return list(dict.fromkeys(lines[1:]))


def _place(machine: str, hosts: list[str]) -> int:
    """The place of this machine among them; with or without its domain."""
    short = [host.partition(".")[0] for host in hosts]
    if machine in hosts:
        return hosts.index(machine)
    if machine.partition(".")[0] in short:
        return short.index(machine.partition(".")[0])
    raise MisconfigurationException(
        f"This machine, {machine!r}, is not among those of LSB_DJOB_RANKFILE: {', '.join(hosts)}. Start the script "
        "with jsrun in the batch script of the job."
    )
