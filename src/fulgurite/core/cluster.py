"""What a cluster environment is: who started the processes of a run, how many there are, and where they meet."""

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterable

from fulgurite.base.errors import MisconfigurationException


class ClusterEnvironment(ABC):
    """What one process knows of the others. Subclass it for a launcher of your own: ``Trainer(plugins=[Mine()])``.

    Where the cluster announces the end of a job by a signal, ``requeue_signal`` names it, and ``requeue`` puts the job
    back into the queue; the other attributes tell one job's files from another's.
    """

    requeue_signal: signal.Signals | None = None
    """The signal after which `fit` saves its state and ends; None if there is none."""
    auto_requeue = False
    """Whether the job shall run again then."""

    @staticmethod
    @abstractmethod
    def detect() -> bool:
        """Whether this process was started this way."""

    @property
    @abstractmethod
    def creates_processes_externally(self) -> bool:
        """Whether all processes are started from outside; otherwise the first one starts the rest."""

    @property
    @abstractmethod
    def main_address(self) -> str:
        """The host of rank 0, where the processes meet."""

    @property
    @abstractmethod
    def main_port(self) -> int:
        """The port there; the same in every process."""

    @abstractmethod
    def world_size(self) -> int:
        """How many processes there are on all machines."""

    @abstractmethod
    def set_world_size(self, size: int) -> None:
        """What the Trainer worked out; of no consequence where the environment knows it itself."""

    @abstractmethod
    def global_rank(self) -> int:
        """The number of this process among all."""

    @abstractmethod
    def set_global_rank(self, rank: int) -> None:
        """What the Trainer worked out; of no consequence where the environment knows it itself."""

    @abstractmethod
    def local_rank(self) -> int:
        """The number of this process on its machine."""

    @abstractmethod
    def node_rank(self) -> int:
        """The number of this machine."""

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Raise where ``Trainer(devices=..., num_nodes=...)`` says something else than the environment."""

    @property
    def job(self) -> str | None:
        """The job's name in its cluster, the same when it runs again."""
        return None

    @property
    def array_task(self) -> str | None:
        """The number of this job among those of an array, which share their settings and folders."""
        return None

    def requeue(self) -> None:
        """Let the cluster run this job again. Raises ``RuntimeError`` that says why it does not."""
        raise RuntimeError(f"{type(self).__name__} is a ClusterEnvironment without `requeue`")

    def teardown(self) -> None:
        """The run is over: take back what was set for it."""


def first_set(names: Iterable[str]) -> str | None:
    """Return the first of the environment variables ``names`` that has a value."""
    return next((name for name in names if os.environ.get(name)), None)


def text(name: str, way_out: str = "") -> str:
    """Return an environment variable. Raises ``MisconfigurationException``, with the way out, where it is not set."""
    if not os.environ.get(name):
        raise MisconfigurationException(f"The environment variable {name} is not set. {way_out}".strip())
    return os.environ[name]


def number(*names: str, default: int | None = None, way_out: str = "") -> int:
    """Return the first of the environment variables ``names`` that is set, as an int; ``default`` where none is.

    Raises ``MisconfigurationException`` for any other text, and where there is no default; ``way_out`` ends what it
    says then.
    """
    name = first_set(names)
    if name is None and default is not None:
        return default
    if name is None:
        raise MisconfigurationException(f"The environment variable {' or '.join(names)} is not set. {way_out}".strip())
    try:
        return int(os.environ[name])
    except ValueError:
        text = f"The environment variable {name} is {os.environ[name]!r}, and an int was expected. {way_out}"
        raise MisconfigurationException(text.strip()) from None
