"""The runs that the client keeps in folders, finished or still being written, read straight from their files."""

from collections import Counter
from pathlib import Path, PurePosixPath

from fulgurite.track.wire.offline.recordlog import BLOCK, Damage, RecordLog
from fulgurite.track.wire.offline.records import Content, Exit, Ignored, decode

RECORDS = "run-*.wandb"


class OfflineRun:
    """One run, by its folder. ``offset`` says how much of its records has been read; with it, another reader goes on.

    ``damages`` lists what could not be read, ``ignored`` counts the records that say nothing of the run, by kind.
    Raises ``FileNotFoundError`` if the folder holds no record of a run.
    """

    def __init__(self, folder: Path, offset: int = 0) -> None:
        self.folder = Path(folder)
        records = sorted(self.folder.glob(RECORDS))
        if len(records) != 1:
            raise FileNotFoundError(
                f"{self.folder} holds {len(records)} files run-*.wandb, but a run's folder holds one. "
                "Give a folder such as wandb/offline-run-20261224_180000-abc; find_runs lists them."
            )
        self.file = records[0]
        self.id = self.file.name.removeprefix("run-").removesuffix(".wandb")
        self.files = self.folder / "files"
        self.ignored: Counter[str] = Counter()
        self._log = RecordLog(self.file, offset)
        self.damages = self._log.damages

    @property
    def offset(self) -> int:
        """The place in ``file`` up to which it has been read."""
        return self._log.offset

    @property
    def finished(self) -> bool:
        """Whether the record of the run's end is there, read or not. Looks only at the end of the file."""
        last_blocks = max(0, self.file.stat().st_size // BLOCK - 1) * BLOCK
        return any(isinstance(_decoded(data), Exit) for data in RecordLog(self.file, last_blocks).read())

    @property
    def synced(self) -> bool:
        """Whether the client has sent the run to a server."""
        return self.file.with_name(f"{self.file.name}.synced").exists()

    def read(self, limit: int = 10_000) -> list[Content]:
        """Return the records that have come since the last call, in order, ``limit`` of them at most.

        An empty list says that there is nothing new by now.
        """
        found: list[Content] = []
        begin = self.offset
        for data in self._log.read():
            content = _decoded(data)
            if content is None:
                self.damages.append(Damage(self.file, begin, self.offset, "a record can't be decoded"))
            elif isinstance(content, Ignored):
                self.ignored[content.kind] += 1
            else:
                found.append(content)
            begin = self.offset
            if len(found) >= limit:
                break
        return found

    def unread(self) -> int:
        """How many bytes are not read. If the writer has ended and all is read, they are an unfinished record."""
        return self._log.unread()

    def saved(self) -> list[str]:
        """The paths of all files in ``files``, in order: media, code and what the user saved."""
        return sorted(path.relative_to(self.files).as_posix() for path in self.files.rglob("*") if path.is_file())

    def locate(self, path: str) -> Path | None:
        """Return the place of a file that a record calls ``path``; None if it isn't in ``files``."""
        inside = PurePosixPath(path)
        if inside.is_absolute() or ".." in inside.parts:
            return None
        found = self.files / inside
        return found if found.is_file() else None


def find_runs(folder: Path) -> list[OfflineRun]:
    """Return the runs in ``folder``, the oldest first: a run's own folder, a ``wandb`` folder or the one above it.

    Those without a record yet, or with several, are left out. Raises ``FileNotFoundError`` if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder. Give a wandb folder, the one above it, or that of one run.")
    places = [folder, folder / "wandb", folder / ".wandb"]
    # `latest-run` is a link to one of the others, and fits neither pattern.
    patterns = (f"offline-run-*/{RECORDS}", f"run-*/{RECORDS}")
    runs = {found.parent for place in places for pattern in patterns for found in place.glob(pattern)}
    runs |= {found.parent for found in folder.glob(RECORDS)}
    return [OfflineRun(found) for found in sorted(runs, key=_begin) if len(list(found.glob(RECORDS))) == 1]


def _begin(folder: Path) -> tuple[str, str]:
    return folder.name.removeprefix("offline-"), str(folder)


def _decoded(data: bytes) -> Content | None:
    try:
        return decode(data)
    except ValueError:
        return None
