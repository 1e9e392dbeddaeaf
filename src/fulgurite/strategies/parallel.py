"""What strategies of several processes share: the process group, and all that ranks do together."""

import atexit
import gc
import os
import sys
import weakref
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from fulgurite.base import start
from fulgurite.base.arguments import checked
from fulgurite.base.errors import CheckpointError, MisconfigurationException, RankFailed, RanksDisagree
from fulgurite.base.rank import rank_zero_info, rank_zero_only
from fulgurite.core.checkpoint_io import CheckpointIO
from fulgurite.core.cluster import ClusterEnvironment
from fulgurite.core.strategy import Strategy
from fulgurite.strategies.control import Control
from fulgurite.strategies.group import GroupRanks
from fulgurite.strategies.launch import Launcher, ScriptLauncher, end_without, tell_torchrun
from fulgurite.strategies.meeting import Meeting
from fulgurite.strategies.reasons import is_felt, others_failure, tell_where

T = TypeVar("T")
Place = str | os.PathLike[str]

TIMEOUT = timedelta(minutes=30)
STARTS = ("popen", "spawn", "fork")
"""How the processes of one machine may begin: as the program once more, or out of this one."""
_meeting_groups: list[tuple[Any, Any, Control]] = []
"""The process group of this program, the one beside it for what is no tensor, and the store; none before a run."""
_members: "weakref.WeakSet[ParallelStrategy]" = weakref.WeakSet()
"""Those that hold on to them, often beyond the end of the script."""


class ParallelStrategy(GroupRanks, Strategy):
    """One process for each device, on one machine or several, in a group of ``torch.distributed``."""

    _groups_begun = 0
    """By this program, of all strategies: one that it destroys is followed by another."""

    @checked
    def __init__(
        self,
        *,
        parallel_devices: Sequence[torch.device] | None = None,
        cluster_environment: ClusterEnvironment | None = None,
        checkpoint_io: CheckpointIO | None = None,
        process_group_backend: str | None = None,
        timeout: timedelta = TIMEOUT,
        start_method: str = "popen",
    ) -> None:
        if start_method not in STARTS:
            raise ValueError(f"start_method={start_method!r}: one of {', '.join(map(repr, STARTS))} was expected.")
        if timeout <= timedelta(0):
            raise MisconfigurationException(f"timeout={timeout!r}: ranks wait for one another; give more than 0.")
        super().__init__(checkpoint_io=checkpoint_io)
        self.start_method = start_method
        self.parallel_devices = list(parallel_devices or [torch.device("cpu")])
        self.cluster_environment: Any = cluster_environment
        self.process_group_backend, self.timeout = process_group_backend, timeout
        self._num_nodes = 1
        self.launcher: Launcher | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Process groups and threads belong to one process; another makes its own.
        return {**self.__dict__, "_group": None, "_control": None, "launcher": None, "model": None}

    @property
    def root_device(self) -> torch.device:
        return self.parallel_devices[self.local_rank % len(self.parallel_devices)]

    @property
    def num_nodes(self) -> int:
        return self._num_nodes

    @num_nodes.setter
    def num_nodes(self, number: int) -> None:
        self._num_nodes = number

    @property
    def num_processes(self) -> int:
        """Processes on this machine."""
        return len(self.parallel_devices)

    @property
    def distributed_sampler_kwargs(self) -> dict[str, int]:
        """What torch's DistributedSampler would be built with."""
        return {"num_replicas": self.world_size, "rank": self.global_rank}

    def place(self, devices: Sequence[torch.device], num_nodes: int, environment: Any) -> None:
        """Be told by the Trainer on which devices to run. Raises where the processes are others than it was told."""
        if start.PARENT_ID:
            end_without(start.PARENT_ID, gently=False)
        self.parallel_devices, self._num_nodes = list(devices), num_nodes
        self.cluster_environment = environment if self.cluster_environment is None else self.cluster_environment
        environment = self.cluster_environment
        environment.set_world_size(num_nodes * len(devices))
        self.take_place()
        environment.validate_settings(len(devices), num_nodes)
        self.allows_inference_mode = self.root_device.type == "cuda"

    # -- beginning and end --------------------------------------------------------------------------------------------

    def launch(self, trainer: Any, verb: Callable[..., T], *args: Any) -> T:
        self.launcher = self.launcher or self._choose_launcher()
        try:
            if self.launcher is None:
                return verb(*args)
            return self.launcher.launch(self, trainer, verb, *args)
        except BaseException as error:
            explained = self._explained(error, trainer)
            if explained is error:
                raise
            # What the failure of another did to a collective tells nothing new.
            raise explained from (None if isinstance(error, RuntimeError) else error)

    def _choose_launcher(self) -> Launcher | None:
        environment = self.cluster_environment
        if environment is None or environment.creates_processes_externally:
            return ScriptLauncher.running
        if self.start_method == "popen":
            return ScriptLauncher()
        from fulgurite.strategies.processes import ProcessLauncher  # late: most start no process this way

        return ProcessLauncher(self.start_method)

    def take_place(self) -> None:
        """Become the rank that this process was started as; it starts no others."""
        self.launcher = None
        environment = self.cluster_environment
        environment.set_global_rank(environment.node_rank() * self.num_processes + environment.local_rank())

    def setup_environment(self) -> None:
        rank_zero_only.rank = self.global_rank  # type: ignore[attr-defined]
        self._alone = False
        super().setup_environment()
        if not dist.is_initialized():
            self._begin_group()
        if not _meeting_groups or _meeting_groups[0][0] is not dist.group.WORLD:
            # Those of a process group that the program has destroyed are of no use.
            for control in _forget_groups():
                control.close()
            group = dist.new_group(backend="gloo", timeout=self.timeout)
            _meeting_groups.append((dist.group.WORLD, group, Control(group, self.global_rank, self.world_size)))
        _, self._group, self._control = _meeting_groups[0]
        _members.add(self)
        assert self._module is not None
        self._control.listen(self._module.trainer)
        self.data_seed = self.broadcast(_data_seed())

    def _begin_group(self) -> None:
        environment = self.cluster_environment
        backend = self.process_group_backend or ("nccl" if self.root_device.type == "cuda" else "gloo")
        if environment is not None:
            os.environ["MASTER_ADDR"] = str(environment.main_address)
            os.environ["MASTER_PORT"] = str(environment.main_port)
        rank, size = self.global_rank, self.world_size
        device = self.root_device if self.root_device.type == "cuda" else None
        # torch's backend for tests meets nobody.
        store = None if backend == "fake" else self._found_others(rank, size)
        dist.init_process_group(
            backend, rank=rank, world_size=size, timeout=self.timeout, device_id=device, store=store
        )
        if ScriptLauncher.running is not None:
            ScriptLauncher.running.met = True
        rank_zero_info(f"{size} processes train together by {type(self).__name__} over {backend}.")
        atexit.register(_end_group)

    def _found_others(self, rank: int, size: int) -> Any:
        """Wait until all ranks are there; return the store that they have in common."""
        launcher = ScriptLauncher.running

        def look() -> None:
            words = None if launcher is None else launcher.killed() or launcher.failed()
            if words is not None:
                raise RankFailed(words)

        try:
            by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
            turn = ParallelStrategy._groups_begun
            store = Meeting(rank, size, self.timeout, self.local_rank == 0, look, turn).come(by_agent)
        except BaseException:
            if launcher is not None:
                launcher.give_up()
            raise
        ParallelStrategy._groups_begun += 1
        return store

    def teardown(self) -> None:
        super().teardown()
        if self._control is not None:
            self._control.leave()

    def part(self, error: BaseException) -> None:
        """This rank failed: the others hear of it, and what it still does it does alone."""
        self._alone = True
        if self.launcher is not None:
            self.launcher.notice()
        if self._control is not None and is_felt(error):
            if self._control.first_failure() is None:
                tell_where(error, self._control)
        elif self._control is not None:
            self._control.report(error)

    def end_group(self) -> None:
        """Leave the process group, well and for good: this process ends."""
        _end_group()

    def _explained(self, error: BaseException, trainer: Any) -> BaseException:
        """The error of the rank that failed first, where this one only felt the consequences."""
        control, launcher = self._control, self.launcher
        disagreement = "" if control is None else control.disagreement
        if disagreement and not isinstance(error, Exception):
            print(f"RanksDisagree: {disagreement}", file=sys.stderr, flush=True)
        if trainer.ended_as_asked or isinstance(error, RankFailed):
            return error
        if control is not None:
            control.tell_ended()
        if launcher is not None:
            launcher.end(control.has_ended if control is not None else lambda rank: False)
        if not isinstance(error, Exception):
            return error
        if disagreement:
            # torchrun has heard it from the rank that was ended.
            if is_felt(error):
                return RanksDisagree(disagreement)
            error.add_note(f"RanksDisagree: {disagreement}")
            return error
        words = others_failure(error, self.global_rank, control, launcher)
        if words is not None:
            return RankFailed(words)
        tell_torchrun(error)
        return error

    def agree_on_end(self, progress: Any) -> bool:
        if self._control is None or self.world_size == 1:
            return True
        return self._control.agreed_end(progress.earlier_batches + progress.batches_ready)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Place, storage_options: Any = None) -> None:
        """Rank 0 writes; all wait for the file, and all raise where it could not be written."""
        problem: BaseException | None = None
        try:
            super().save_checkpoint(checkpoint, filepath, storage_options)
        except Exception as error:
            problem = error
        told = self.meet("a checkpoint", None if problem is None else str(problem))[0]
        if problem is not None:
            raise problem
        if told is not None:
            raise CheckpointError(f"Rank 0 could not write a checkpoint: {told}")


def _data_seed() -> int:
    """What the order of shared-out data is drawn with: the seed of the run, or a new one each time."""
    given = os.environ.get("PL_GLOBAL_SEED", "")
    return int(given) if given.isdigit() else int(torch.randint(2**31, (1,), generator=_fresh_generator()).item())


def _fresh_generator() -> torch.Generator:
    """One that nobody has seeded, so that nothing the user draws is moved."""
    generator = torch.Generator()
    generator.seed()
    return generator


def _end_group() -> None:
    """Leave the groups, and let nothing keep them: a group ends its threads where the last one drops it.

    A thread that has just done the last collective may still have to give back its tensors, for which it needs the
    interpreter. While that is taken down it would be ended by force, and the process with it ("terminate called").
    """
    controls = _forget_groups()
    if dist.is_initialized():
        dist.destroy_process_group()
    # Errors and their frames hold groups in cycles.
    gc.collect()
    # Last: rank 0 answers the others until then.
    for control in controls:
        control.close()


def _forget_groups() -> list[Control]:
    """Hold on to no group, and listen to none; return what is still to be closed."""
    controls = [control for _, _, control in _meeting_groups]
    for control in controls:
        control.leave()
    _meeting_groups.clear()
    for strategy in _members:
        strategy.forget_groups()
    return controls
