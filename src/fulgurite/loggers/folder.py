"""What loggers share that have a numbered folder for each run: its place, its number, and the hyperparameters in it."""

import os
from pathlib import Path
from typing import Any

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.paths import atomic_write, next_version
from fulgurite.base.rank import rank_zero_warn
from fulgurite.core.logger import Logger


class FolderLogger(Logger):
    """A logger whose runs have their folders under ``save_dir/name/version_N``. Nothing is made before it is needed.

    ``version`` is a number, a folder's name, or None for the next free number.
    """

    LOGGER_JOIN_CHAR = "-"

    def __init__(
        self, save_dir: str | os.PathLike[str], name: str | None, version: int | str | None, prefix: str
    ) -> None:
        self._save_dir = os.path.expanduser(save_dir)
        if "://" in self._save_dir:
            kind = type(self).__name__
            raise MisconfigurationException(f"{kind} writes to local folders only, not to {self._save_dir!r}.")
        self._name = name or ""
        self._version = version
        self._prefix = prefix

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> int | str:
        """The run's version; a free number is looked up at the first question and kept."""
        if self._version is None:
            self._version = next_version(self.root_dir)
        return self._version

    @property
    def save_dir(self) -> str:
        return self._save_dir

    @property
    def root_dir(self) -> str:
        return os.path.join(self._save_dir, self._name)

    @property
    def log_dir(self) -> str:
        folder = self.version if isinstance(self.version, str) else f"version_{self.version}"
        return os.path.join(self.root_dir, folder)

    def _take_folder(self) -> str:
        """Make this run's folder, which takes its number, and return it."""
        try:
            if self._version is None:
                self._version = _take_next_version(self.root_dir)
            os.makedirs(self.log_dir, exist_ok=True)
        except OSError as error:
            kind = type(self).__name__
            raise MisconfigurationException(
                f"{kind} can't make its folder under {self.root_dir!r}: {error}. Pass {kind}(save_dir=...), or "
                "Trainer(default_root_dir=...) for the default logger, with a folder that can be written."
            ) from error
        return self.log_dir


class HparamsFile:
    """``hparams.yaml`` in a run's folder. A former run's file of that name is kept under another."""

    NAME = "hparams.yaml"

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, self.NAME)
        self.values: dict[str, Any] = {}
        self._ours = False

    def add(self, params: dict[str, Any]) -> None:
        """Add to the hyperparameters, and write them."""
        import yaml  # late: only a run that logs needs it

        self.values.update(params)
        text = yaml.safe_dump(self.values, allow_unicode=True)
        if not self._ours and not _says(self.path, text):
            set_aside(self.path)
        self._ours = True
        with atomic_write(self.path, "w", encoding="utf-8") as file:
            file.write(text)


def _says(path: str, text: str) -> bool:
    """Whether the file is there and says the same: a run that goes on in its folder."""
    try:
        return Path(path).read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False


def set_aside(path: str) -> None:
    """Give a former run's file a free numbered name, so that this run can use ``path`` and nothing is lost."""
    if not os.path.exists(path):
        return
    file = Path(path)
    free = file.with_name(f"{file.stem}_{_free_number(file)}{file.suffix}")
    os.replace(file, free)
    rank_zero_warn(f"{path} is from an earlier run; it is kept as {free.name}. Choose another version to avoid this.")


def _take_next_version(folder: str) -> int:
    """Make the next free version's folder. Two runs that start together get two numbers."""
    while True:
        version = next_version(folder)
        try:
            os.makedirs(os.path.join(folder, f"version_{version}"))
        except FileExistsError:
            continue
        return version


def _free_number(file: Path) -> int:
    """The first number that no neighbour ``stem_<number>.suffix`` of ``file`` has."""
    number = 0
    while file.with_name(f"{file.stem}_{number}{file.suffix}").exists():
        number += 1
    return number
