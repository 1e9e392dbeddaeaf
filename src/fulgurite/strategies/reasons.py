"""Why a run of several processes failed: what each rank knows of it, put into words."""

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
    missing, places = [str(rank) for rank in control.not_waiting()], control.told_places()
    who = [f"Rank {', '.join(missing)} did not come, or is gone."] if missing else []
    where = [f"Where each rank was when it last said so:\n{places}"] if places else []
    if who or where:
        error.add_note(" ".join([*who, *where]))
