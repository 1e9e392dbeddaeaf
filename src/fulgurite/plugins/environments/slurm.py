"""Jobs of SLURM: processes that srun started, and the way back into the queue."""

import os
import re
import shutil
import signal
import subprocess

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import warn_once
from fulgurite.core.cluster import ClusterEnvironment, first_set, number

WAY_OUT = "srun sets it: start the script with `srun python train.py` in the batch script of the job."
AT_A_PROMPT = ("bash", "interactive")
"""Job names of sessions at a prompt: there the program is one process, as it is without SLURM."""
PATIENCE = 60  # seconds that scontrol may take


class SLURMEnvironment(ClusterEnvironment):
    """``srun python train.py``: SLURM starts a process for each device, and tells each who it is.

    When the job's time is nearly up (``#SBATCH --signal=SIGUSR1@90``), or it has to make room, `fit` finishes its
    batch, writes ``hpc_ckpt_N.ckpt`` into the ``default_root_dir``, and lets SLURM run the job again; there `fit` goes
    on from that file by itself. With ``auto_requeue=False`` it ends without the last. ``requeue_signal`` is the one
    that the job sends; SIGUSR1 if none is given. A handler that the program has set for it is left alone.

    MASTER_ADDR and MASTER_PORT are the first host of the job and a port from its number, unless they are set.
    """

    @checked
    def __init__(self, auto_requeue: bool = True, requeue_signal: signal.Signals | int | None = None) -> None:
        self.auto_requeue = auto_requeue
        self.requeue_signal = getattr(signal, "SIGUSR1", None) if requeue_signal is None else _signal(requeue_signal)
        if not _at_a_prompt() and number("SLURM_NTASKS", default=1) > 1:
            _tasks_per_node()

    @staticmethod
    def detect() -> bool:
        """Whether SLURM_NTASKS is set and this is no session at a prompt. Warns of a job that does not use srun."""
        found = "SLURM_NTASKS" in os.environ and not _at_a_prompt()
        in_job = "SLURM_JOB_ID" in os.environ and not _at_a_prompt()
        if in_job and not SLURMEnvironment.in_step() and shutil.which("srun") is not None:
            tasks = number("SLURM_NTASKS", default=1)
            if not found or tasks > 1:
                alone = "it runs as one process, and does not go back into the queue when the job's time is up"
                waits = f"it is one process, and with several devices or nodes it waits for the others of {tasks} tasks"
                warn_once(
                    f"This is a job of SLURM, but the program was not started with srun: {waits if found else alone}. "
                    "Start it with `srun python train.py`, and say `#SBATCH --ntasks-per-node=...`."
                )
        return found

    @staticmethod
    def in_step() -> bool:
        """Whether srun started this process, and not the batch script of the job."""
        return "SLURM_STEP_ID" in os.environ

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        """MASTER_ADDR, which is set to the first host of SLURM_NODELIST where it is not set."""
        if not os.environ.get("MASTER_ADDR"):
            nodes = os.environ.get(first_set(("SLURM_NODELIST", "SLURM_JOB_NODELIST")) or "", "127.0.0.1")
            os.environ["MASTER_ADDR"] = self.resolve_root_node_address(nodes)
        return os.environ["MASTER_ADDR"]

    @property
    def main_port(self) -> int:
        """MASTER_PORT, which is set to one between 15000 and 24999, by the job's number, where it is not set."""
        if not os.environ.get("MASTER_PORT"):
            digits = os.environ.get("SLURM_JOB_ID", "")[-4:]
            os.environ["MASTER_PORT"] = str(15000 + int(digits)) if digits.isdigit() else "12910"
        return number("MASTER_PORT")

    @staticmethod
    def job_id() -> int | None:
        """The number of the job; None outside of one and at a prompt."""
        text = os.environ.get("SLURM_JOB_ID", "")
        return int(text) if text.isdigit() and not _at_a_prompt() else None

    @staticmethod
    def job_name() -> str | None:
        return os.environ.get("SLURM_JOB_NAME")

    @property
    def job(self) -> str | None:
        """The job as scontrol knows it: a number, or ``ARRAY_TASK`` for a task of a job array."""
        array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), self.array_task
        return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")

    @property
    def array_task(self) -> str | None:
        return os.environ.get("SLURM_ARRAY_TASK_ID")

    def world_size(self) -> int:
        return number("SLURM_NTASKS", way_out=WAY_OUT)

    def set_world_size(self, size: int) -> None: ...

    def global_rank(self) -> int:
        return number("SLURM_PROCID", way_out=WAY_OUT)

    def set_global_rank(self, rank: int) -> None: ...

    def local_rank(self) -> int:
        return number("SLURM_LOCALID", way_out=WAY_OUT)

    def node_rank(self) -> int:
        return number("SLURM_NODEID", way_out=WAY_OUT)

    @staticmethod
    def resolve_root_node_address(nodes: str) -> str:
        """Return the first host of a list as SLURM writes it: ``"node[05-07,9],other"`` is ``"node05"``."""
        first = re.match(r"(?:\[[^]]*\]|[^\s,\[])*", nodes.strip())
        return re.sub(r"\[([^],-]*)[^]]*\]", r"\1", first.group() if first else nodes)

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Raise ``ValueError`` where the job has other numbers of nodes and of tasks per node."""
        if _at_a_prompt():
            return
        tasks = _tasks_per_node()
        nodes = number("SLURM_NNODES", "SLURM_JOB_NUM_NODES", default=num_nodes)
        if tasks is not None and tasks != num_devices:
            raise ValueError(
                f"Trainer(devices={num_devices}), but SLURM starts {tasks} tasks per node. Pass devices={tasks}, or "
                f"say `#SBATCH --ntasks-per-node={num_devices}`."
            )
        if nodes != num_nodes:
            raise ValueError(
                f"Trainer(num_nodes={num_nodes}), but the job has {nodes} nodes. Pass num_nodes={nodes}, or say "
                f"`#SBATCH --nodes={num_nodes}`."
            )

    def requeue(self) -> None:
        """Let SLURM run this job again. Raises ``RuntimeError`` that says why it does not."""
        if self.job is None:
            raise RuntimeError("SLURM_JOB_ID is not set")
        command = ["scontrol", "requeue", self.job]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except FileNotFoundError as error:
            raise RuntimeError("there is no command `scontrol` here") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(f"`{' '.join(command)}`: {error}") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip() or "it said nothing"
            raise RuntimeError(f"`{' '.join(command)}` ended with code {done.returncode}: {said}")


def _signal(number: int) -> signal.Signals:
    try:
        return signal.Signals(number)
    except ValueError:
        raise MisconfigurationException(
            f"SLURMEnvironment(requeue_signal={number}): a signal of this system was expected, such as signal.SIGUSR1."
        ) from None


def _at_a_prompt() -> bool:
    return SLURMEnvironment.job_name() in AT_A_PROMPT


def _tasks_per_node() -> int | None:
    """How many tasks SLURM starts on each node; None where it does not say.

    Raises ``MisconfigurationException`` where the nodes have different numbers.
    """
    name = first_set(("SLURM_NTASKS_PER_NODE", "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"))
    if name is None and number("SLURM_NTASKS", default=1) == 1:
        return None
    # "2" or "2(x3)": two on each, on three nodes; "3,2(x2)": they differ.
    told = re.fullmatch(r"(\d+)(?:\(x\d+\))?", os.environ[name]) if name else None
    if told is None:
        tasks = os.environ.get("SLURM_NTASKS")
        spread = f"and {name} is {os.environ[name]!r}" if name else "and how many run on each node is not known"
        raise MisconfigurationException(
            f"SLURM starts {tasks} tasks, {spread}: every node needs the same number. Say `#SBATCH "
            "--ntasks-per-node=...`, the number of devices on each, in place of --ntasks."
        )
    return int(told[1])
