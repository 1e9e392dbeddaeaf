"""Which process speaks, and how a warning finds the user's line."""

import contextlib
import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TextIO, TypeVar


class PlainVoice(logging.StreamHandler[TextIO]):
    """Speaks on stderr as long as nobody has configured logging; asked at each line, since that may come late."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            self.stream = sys.stderr
            super().emit(record)


log = logging.getLogger("fulgurite")
log.setLevel(logging.INFO)
if not any(isinstance(handler, PlainVoice) for handler in log.handlers):
    log.addHandler(PlainVoice())

_CONTEXTLIB = contextlib.__file__
PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep
_warned: set[tuple[type[Warning], str]] = set()

P = ParamSpec("P")
T = TypeVar("T")


class PossibleUserWarning(UserWarning):
    """Something that may be meant as it is; filter this category to silence the kind."""


MPI_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "MV2_COMM_WORLD_RANK")
"""Set by mpirun: Open MPI's, MPICH's and Intel's, PMIx's, MVAPICH's."""


def current_rank() -> int:
    """The global rank as the environment tells it; 0 where nothing does. Raises ``ValueError`` for other text."""
    if not os.environ.get("RANK") and os.environ.get("LOCAL_RANK"):
        # LOCAL_RANK comes before SLURM_PROCID, which a process started from a batch script has from that.
        node = _first_number("NODE_RANK", "GROUP_RANK")
        return node * max(_first_number("LOCAL_WORLD_SIZE"), 1) + _first_number("LOCAL_RANK")
    return _first_number("RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK", *MPI_RANKS)


def _first_number(*names: str) -> int:
    """The first of these variables that has a value; 0 where none has."""
    name = next((name for name in names if os.environ.get(name)), None)
    try:
        return int(os.environ[name]) if name else 0
    except ValueError:
        raise ValueError(f"The environment variable {name} is {os.environ[name]!r}, and an int was expected.") from None  # type: ignore[index]


def rank_zero_only(fn: Callable[P, T], default: T | None = None) -> Callable[P, T | None]:
    """Wrap ``fn`` so that it runs on rank 0 alone; elsewhere it returns ``default``."""

    @functools.wraps(fn)
    def on_rank_zero(*args: P.args, **kwargs: P.kwargs) -> T | None:
        return fn(*args, **kwargs) if rank_zero_only.rank == 0 else default  # type: ignore[attr-defined]

    return on_rank_zero


rank_zero_only.rank = current_rank()  # type: ignore[attr-defined]


def users_line() -> int:
    """The ``stacklevel``, seen from the caller, of the first frame outside this package, torch and contextlib."""
    frame, level = sys._getframe(1), 0
    while frame is not None and level < 200:
        name = frame.f_code.co_filename
        passed = name.startswith((PACKAGE, "<")) or name == _CONTEXTLIB or f"{os.sep}torch{os.sep}" in name
        if not passed:
            return level
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    return 2


def rank_zero_warn(message: str, category: type[Warning] = UserWarning, stacklevel: int | None = None) -> None:
    """Warn on rank 0, at ``stacklevel`` if given, else at the user's own line."""
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        warnings.warn(message, category, stacklevel=stacklevel + 1 if stacklevel else users_line() + 1)


def warn_once(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn on rank 0 unless the same words were said before in this process."""
    if (category, message) not in _warned:
        _warned.add((category, message))
        rank_zero_warn(message, category)


def rank_zero_deprecation(message: str, stacklevel: int | None = None) -> None:
    rank_zero_warn(message, DeprecationWarning, stacklevel)


def rank_zero_info(*args: object, **kwargs: object) -> None:
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        log.info(*args, **kwargs)  # type: ignore[arg-type]


def rank_zero_debug(*args: object, **kwargs: object) -> None:
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        log.debug(*args, **kwargs)  # type: ignore[arg-type]
