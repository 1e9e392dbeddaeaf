"""Why a run of several processes failed: what each rank knows of it, put into words."""

import os

import torch.distributed as dist

from fulgurite.base.errors import RanksDisagree
from fulgurite.strategies.control import Control
from fulgurite.strategies.launch import Launcher


def is_felt(error: BaseException) -> bool:
    """Whether it says no more than that other ranks did not do their part: what they failed of is the reason."""
    text = str(error) if isinstance(error, RuntimeError) and not isinstance(error, RanksDisagree) else ""
    return isinstance(error, dist.DistError) or any(word in text for word in ("third_party/gloo", "Gloo ", "NCCL"))


def others_failure(error: Exception, rank: int, control: Control | None, launcher: Launcher | None) -> str | None:
    """Why another rank's failure is behind ``error``, in words; None if it is this rank's own."""
    killed = launcher.killed() if launcher is not None else None
    if killed is not None:
        return killed
    failure = control.first_failure() if control is not None and is_felt(error) else None
    if failure is None:
        return launcher.failed() if launcher is not None and is_felt(error) else None
    return None if failure["rank"] == rank else told(failure["rank"], failure["error"], failure["traceback"])


def told(rank: int, error: str, traceback: str) -> str:
    return f"Rank {rank} failed, and the run with it: {error}\n\nOn rank {rank}:\n{traceback}"


def tell_where(error: BaseException, control: Control) -> None:
    """Add to ``error``, of a collective, who did not come to it, and where everybody is."""
    missing = [str(rank) for rank in control.not_waiting()]
    who = f"Rank {', '.join(missing)} did not come, or is gone. " if missing else ""
    error.add_note(f"{who}Where each rank was when it last said so:\n{control.told_places()}")


def tell_torchrun(error: Exception) -> None:
    """torchrun shows what its processes have left in this file, that of the first one on top."""
    if "TORCHELASTIC_ERROR_FILE" in os.environ:
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler  # late: under torchrun alone

        get_error_handler().record_exception(error)
