"""What a profiler is. Without one nothing is called; one that measures nothing stands where code asks for it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.paths import atomic_write, is_url
from fulgurite.base.rank import rank_zero_info, rank_zero_warn

if TYPE_CHECKING:
    from fulgurite.core.module import LightningModule

T = TypeVar("T")


class Profiler:
    """Measures the actions of a run. Subclass it and give ``start`` and ``stop``; ``summary`` is the report.

    A run calls ``setup`` before its first hook and ``describe`` and ``teardown`` after its last, also where it failed.
    ``describe`` writes the report to ``<dirpath>/<stage>-<filename>.txt`` if one of the two was given (``dirpath``
    defaults to the logger's folder), behind what is there already; else the report is printed.
    """

    @checked
    def __init__(self, dirpath: str | Path | None = None, filename: str | None = None) -> None:
        if dirpath is not None and is_url(dirpath):
            raise MisconfigurationException(f"dirpath={str(dirpath)!r}: reports go to a local folder, not to a URL.")
        self.dirpath = None if dirpath is None else Path(os.path.expanduser(dirpath))
        self.filename = filename
        self.stage: str | None = None
        self.local_rank = 0
        self._log_dir: str | None = None

    def start(self, action_name: str) -> None:
        """An action begins."""
        raise NotImplementedError(f"{type(self).__name__} is a Profiler without `start`.")

    def stop(self, action_name: str) -> None:
        """An action ends. Raises ``ValueError`` if it never began."""
        raise NotImplementedError(f"{type(self).__name__} is a Profiler without `stop`.")

    def summary(self) -> str:
        """The report as text; nothing if it is empty."""
        return ""

    @contextmanager
    def profile(self, action_name: str) -> Iterator[str]:
        """Measure a block, also one that raises: ``with self.trainer.profiler.profile("my block"):``."""
        self.start(action_name)
        try:
            yield action_name
        finally:
            self.stop(action_name)

    def watched(self, function: Callable[..., T], action_name: str) -> Callable[..., T]:
        """Return ``function`` with each of its calls measured."""

        def measured(*args: Any, **kwargs: Any) -> T:
            with self.profile(action_name):
                return function(*args, **kwargs)

        return measured

    def setup(self, stage: str, local_rank: int | None = None, log_dir: str | None = None) -> None:
        """A run begins. Raises ``MisconfigurationException`` where the report could not be written."""
        self.stage, self.local_rank, self._log_dir = stage, local_rank or 0, log_dir
        if self._writes():
            _check_writable(self.folder())

    def attach(self, module: "LightningModule") -> None:
        """The module of the run, whole and on its device."""

    def describe(self) -> None:
        """Write or print the report, unless it is empty."""
        text = self.summary()
        if not text:
            return
        if not self._writes():
            rank_zero_info(text)
            return
        path = self.folder() / self._name(".txt")
        before = path.read_text() + "\n" if path.exists() else ""
        with atomic_write(path, "w") as file:
            file.write(before + text + "\n")
        rank_zero_info(f"The report of the profiler is in {str(path)!r}")

    def teardown(self, stage: str | None) -> None:
        """The run is over; let go of what ``setup`` took."""

    def folder(self) -> Path:
        """Where files of this profiler go."""
        return self.dirpath or Path(self._log_dir or os.getcwd())

    def _writes(self) -> bool:
        return self.dirpath is not None or self.filename is not None

    def _title(self) -> str:
        return f"{self.stage.upper()} Profiler Report" if self.stage else "Profiler Report"

    def _name(self, extension: str, *parts: str) -> str:
        rank = [str(self.local_rank)] if self.local_rank else []
        return "-".join([*filter(None, [self.stage]), self.filename or "profile", *rank, *parts]) + extension


class PassThroughProfiler(Profiler):
    """Measures nothing: ``with trainer.profiler.profile("x"):`` runs its block."""

    def start(self, action_name: str) -> None: ...

    def stop(self, action_name: str) -> None: ...


def report(profiler: Profiler) -> None:
    """Let ``profiler`` report; a report that fails is a warning, since the run it tells of is worth more."""
    try:
        profiler.describe()
    except Exception as error:
        rank_zero_warn(f"The report of {type(profiler).__name__} could not be made: {type(error).__name__}: {error}")


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / ".profiler", "w"):
            pass
        (folder / ".profiler").unlink()
    except OSError as error:
        raise MisconfigurationException(
            f"The profiler's files are to go to {str(folder)!r}, which cannot be written: {error}. "
            "Pass another dirpath."
        ) from error
