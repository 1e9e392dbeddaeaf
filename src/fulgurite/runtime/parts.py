"""The parts of a checkpoint as they are put back: one that does not fit is told by its name, and that of the file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fulgurite.base.arguments import shown
from fulgurite.base.errors import CheckpointError

if TYPE_CHECKING:
    from fulgurite.runtime.session import Session

#: What comes of values that nobody wrote.
MISFITS = (AttributeError, LookupError, ArithmeticError, RuntimeError, TypeError, ValueError)


@contextmanager
def part(session: "Session", name: str, reader: Callable[..., Any] | None = None) -> Iterator[None]:
    """Tell of an error in the block as of a part of the checkpoint; one of the user's own ``reader`` stays as it is."""
    try:
        yield
    except CheckpointError:
        raise
    except MISFITS as error:
        if reader is not None and not of_ours(reader):
            error.add_note(f"This happened while the part {name!r} of {told(session)} was put back.")
            raise
        raise misfit(session, name, f"{type(error).__name__}: {error}") from error


def misfit(session: "Session", name: str, reason: str) -> CheckpointError:
    """The error for a part that can't be put back."""
    what = f"The part {name!r} of {told(session)}" if name else told(session, "The checkpoint")
    return CheckpointError(
        f"{what} does not fit this run, or is damaged: {reason}. Go on with the module, "
        "callbacks and optimizers that it was written with, or load the weights alone with "
        f"`{type(session.module).__name__}.load_from_checkpoint`."
    )


def check_kinds(session: "Session", where: str, data: Any, kinds: Mapping[str, type | tuple[type, ...]]) -> None:
    """Raise ``CheckpointError`` for entries of ``data`` that are of another kind than they are written with."""
    if not isinstance(data, dict):
        raise misfit(session, where, f"it is {shown(data)}, and a dict was expected")
    for name, kind in kinds.items():
        if name in data and not isinstance(data[name], kind):
            raise misfit(session, f"{where}/{name}", f"it is {shown(data[name])}")


def of_ours(reader: Callable[..., Any]) -> bool:
    """Whether a method comes with this package or with torch, and not from the user."""
    return str(getattr(reader, "__module__", "")).startswith(("fulgurite.", "torch."))


def told(session: "Session", what: str = "the checkpoint") -> str:
    """The checkpoint by its path."""
    path = session.trainer.ckpt_path
    return what if path is None else f"{what} {str(path)!r}"
