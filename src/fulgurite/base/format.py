"""How a checkpoint lies on disk: Lightning's layout, written by ``torch.save``, plain data only unless asked otherwise.

Besides Lightning's keys a file has one of ours, ``"fulgurite"``: its format, and the original types of the values that
went in as plain data. Whoever does not know the key sees strings, numbers, lists and dictionaries.
"""

import difflib
import errno
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from fulgurite.base.errors import CheckpointError, MissingExtra, UntrustedCheckpoint
from fulgurite.base.foreign import harmless
from fulgurite.base.names import find_block
from fulgurite.base.optional import require
from fulgurite.base.paths import atomic_write, is_url
from fulgurite.base.plain import Notes, describe, plain, spell
from fulgurite.base.rank import warn_once
from fulgurite.base.restore import restore

FORMAT = 1
NOTES = "fulgurite"
HYPER_PARAMETERS = ("hyper_parameters", "datamodule_hyper_parameters")

Source = str | os.PathLike[str] | IO[bytes]


def write(checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write ``checkpoint`` to ``path``: streamed, flushed to disk, and under its name only when it is whole.

    Raises ``CheckpointError`` if that fails; a file that was there before is then still there.
    """
    data = portable(checkpoint)
    try:
        with _opened_for_writing(path) as file:
            torch.save(data, file)
    except MissingExtra:
        raise
    except Exception as error:
        disk = _disk_error(error)
        reason = _blame(data, error) if disk is None else f"{disk}{_room(disk, data, path)}"
        raise CheckpointError(f"The checkpoint {os.fspath(path)!r} cannot be written: {reason}") from error


def read(path: Source, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
    """Return the checkpoint at ``path`` (a file object or, with the extra "remote", a URL), original types put back.

    ``weights_only`` is True unless it is said to be False: then the file may run any code it brings.
    Without a ``map_location``, tensors go where they were, or to the CPU where that device is missing.

    Raises ``FileNotFoundError``, ``UntrustedCheckpoint`` for classes that are not known to be harmless, and
    ``CheckpointError`` for a damaged file.
    """
    location = _where_it_was if map_location is None else map_location
    path = os.path.expanduser(path) if isinstance(path, str | os.PathLike) else path
    with _opened_for_reading(path) as file:
        data = _load(file, _name(path), location, safe=weights_only is None or weights_only)
    return _with_types(data) if isinstance(data, dict) and isinstance(data.get(NOTES), dict) else data


# -- plain data -----------------------------------------------------------------------------------------------------


def portable(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint as plain data, with one warning for each value that cannot be told, or not without loss."""
    given = dict(checkpoint.get(NOTES, {}))
    notes, dropped, data = Notes(), Notes(), {}
    for key, value in checkpoint.items():
        if key in HYPER_PARAMETERS:
            data[key] = _plain_hyper_parameters(key, value, given.get(key, {}).get("pickle", ()), dropped)
            data[key], blocks = _set_apart(key, data[key], dropped)
            more = {"blocks": blocks, "left_out": _left_out(key, dropped)}
            given[key] = given.get(key, {}) | {name: note for name, note in more.items() if note}
        elif key != NOTES:
            data[key] = plain(value, notes, at=(key,))
    data[NOTES] = {**given, "format": FORMAT, "types": notes.types + dropped.types}
    _warn_of(notes, dropped)
    return data


def _plain_hyper_parameters(key: str, value: Any, pickled: Any, notes: Notes) -> Any:
    if not pickled:
        return plain(value, notes, at=(key,), drop=True)
    # Names that the user wants pickled go in as they are.
    rest = plain({name: item for name, item in value.items() if name not in pickled}, notes, at=(key,), drop=True)
    return {name: value[name] if name in pickled else rest[name] for name in value if name in pickled or name in rest}


def _set_apart(key: str, values: Any, notes: Notes) -> tuple[Any, dict[str, Any]]:
    """The hyperparameters without those of building blocks, and these, which go into our notes.

    To a reader that does not know the notes, the name of a block would be a text where a class is due.
    """
    ours = [(path, code) for path, code in notes.types if path[0] == key]
    names = {path[1] for path, code in ours if len(path) > 1 and code[0] == "block"}
    if not names or any(len(path) == 1 for path, _ in ours):
        return values, {}
    for path, _ in ours:
        if path[1] in names:
            path[:1] = [NOTES, key, "blocks"]
    return (
        {name: value for name, value in values.items() if name not in names},
        {name: value for name, value in values.items() if name in names},
    )


def _left_out(key: str, notes: Notes) -> dict[str, str]:
    """For each hyperparameter that is not in the file, or not in full: what it was."""
    told: dict[str, list[str]] = {}
    for path, what in notes.strangers:
        if path[0] == key and len(path) > 1:
            told.setdefault(str(path[1]), []).append(f"{spell(path)} was {what}")
    return {name: ", ".join(texts) for name, texts in told.items()}


def _warn_of(notes: Notes, dropped: Notes) -> None:
    for path, what in dropped.strangers:
        name = str(path[1]) if len(path) > 1 else "..."
        warn_once(
            f"{spell(path)} is {what}, which is no plain data: it is left out of the checkpoint. You will have to give "
            f"it when you load (`load_from_checkpoint(path, {name}=...)`), or leave it out of the hyperparameters "
            f"(`save_hyperparameters(ignore=[{name!r}])`), or have it pickled "
            f"(`save_hyperparameters(pickle=[{name!r}])`; such a file loads with `weights_only=False` alone)."
        )
    for path, what in notes.strangers:
        warn_once(
            f"{spell(path)} is {what}, which is no plain data: the checkpoint will only load with "
            "`weights_only=False`. Save what it is made of (numbers, strings, lists, dicts, tensors) instead."
        )
    for path, what in notes.lossy + dropped.lossy:
        warn_once(f"{spell(path)} is {what}; the checkpoint keeps its plain value, not its class.")


def _with_types(data: dict[str, Any]) -> dict[str, Any]:
    notes = data[NOTES]
    if isinstance(notes.get("format"), int) and notes["format"] > FORMAT:
        warn_once(
            f"The checkpoint is of format {notes['format']}, newer than the {FORMAT} known here: some values may come "
            "as plain data. Update fulgurite to read it in full."
        )
    recorded = notes.pop("types", ())
    try:
        for path, code in recorded:
            if path[:1] == [NOTES] and path[2:3] == ["blocks"] and code[:1] == ["block"]:
                _leave_out_if_absent(notes[path[1]], path[1], path[3], code[-1])
    except (TypeError, ValueError, LookupError) as error:
        raise CheckpointError(f"The list of types in the checkpoint is damaged ({error}).") from error
    return _with_blocks(restore(data, recorded))


def _leave_out_if_absent(notes: dict[str, Any], key: str, name: str, block: Any) -> None:
    try:
        find_block(block)
    except Exception:  # the file may say anything
        notes["blocks"].pop(name, None)
        text = f"{spell((key, name))} was {str(block).replace(':', '.')}, no building block of a module imported here"
        notes.setdefault("left_out", {})[name] = text


def _with_blocks(data: dict[str, Any]) -> dict[str, Any]:
    for key in HYPER_PARAMETERS:
        noted = data[NOTES].get(key, {})
        if not isinstance(noted, dict):
            raise CheckpointError(f"What the checkpoint notes of its {key} is damaged: it is a {type(noted).__name__}.")
        blocks = noted.pop("blocks", {})
        if blocks:
            data[key] = {**data.get(key, {}), **blocks}
    return data


# -- writing --------------------------------------------------------------------------------------------------------


@contextmanager
def _opened_for_writing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    if not is_url(path):
        with atomic_write(path) as file:
            yield file
        return
    files, name = require("fsspec", "remote").core.url_to_fs(os.fspath(path))
    try:
        with files.open(f"{name}.tmp", "wb") as file:
            yield file
        files.mv(f"{name}.tmp", name)
    finally:
        if files.exists(f"{name}.tmp"):
            files.rm(f"{name}.tmp")


class _Nowhere:
    """A file that forgets."""

    def write(self, data: Any) -> int:
        return len(data)

    def flush(self) -> None: ...


def _disk_error(error: BaseException | None) -> OSError | None:
    """The disk's own word, which torch covers with an error of its archive writer."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _room(error: OSError, data: Any, path: str | os.PathLike[str]) -> str:
    """Where room was missing: how much is needed, and how much there is."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or is_url(path):
        return ""
    folder = Path(path).parent
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    return (
        f". It needs about {_bytes_of(data, set()) / 1e6:,.1f} MB beside what is there, as nothing is overwritten "
        f"before it is whole; {free / 1e6:,.1f} MB are free in {str(folder)!r}"
    )


def _bytes_of(data: Any, seen: set[int]) -> int:
    """The size of the tensors in ``data``; those that share their memory count once, as in the file."""
    if isinstance(data, torch.Tensor):
        storage = data.untyped_storage()
        new = storage.data_ptr() not in seen
        seen.add(storage.data_ptr())
        return storage.nbytes() if new else 0
    return sum(_bytes_of(item, seen) for _, item in _entries(data))


def _blame(data: Any, error: Exception) -> str:
    """``error``, with the place of the value that cannot be pickled."""
    path: tuple[Any, ...] = ()
    while culprit := next(((key, item) for key, item in _entries(data) if not _picklable(item)), None):
        path, data = (*path, culprit[0]), culprit[1]
    return f"{spell(path)}, {describe(data)}, cannot be pickled: {error}" if path else str(error)


def _entries(data: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(data, dict):
        yield from data.items()
    elif isinstance(data, list | tuple):
        yield from enumerate(data)


def _picklable(value: Any) -> bool:
    try:
        torch.save(value, _Nowhere())  # type: ignore[arg-type]
    except Exception:
        return False
    return True


# -- reading --------------------------------------------------------------------------------------------------------


@contextmanager
def _opened_for_reading(source: Source) -> Iterator[IO[bytes]]:
    if not isinstance(source, str | os.PathLike):
        yield source
    elif is_url(source):
        with require("fsspec", "remote").open(os.fspath(source), "rb") as file:
            yield file
    else:
        with _open_local(Path(source)) as file:
            yield file


def _open_local(path: Path) -> IO[bytes]:
    if path.is_dir():
        raise CheckpointError(f"The checkpoint {str(path)!r} is a folder, expected a file. Name a file in it.")
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"There is no checkpoint {str(path)!r}. {_near(path)}") from error


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {str(path.parent)!r} either."
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file() and not entry.name.startswith("."))
    close = difflib.get_close_matches(path.name, names, cutoff=0.4) or [name for name in names if ".ckpt" in name][:5]
    return f"In {str(path.parent)!r} there is: {', '.join(close) or 'no checkpoint'}."


def is_intact(path: str | os.PathLike[str]) -> bool:
    """Whether the file at ``path`` is a whole checkpoint: each of its records has the checksum it was written with."""
    try:
        with open(path, "rb") as file:
            return zipfile.is_zipfile(file) and _torn_record(file) is None
    except Exception:  # a flipped bit may claim anything: a password, another alphabet
        return False


def mentions(path: str | os.PathLike[str], key: str) -> bool:
    """Whether the whole checkpoint at ``path`` has such a key somewhere; its tensors are not read."""
    with zipfile.ZipFile(path) as archive:
        return any(key.encode() in archive.read(name) for name in archive.namelist() if name.endswith("/data.pkl"))


def newest_intact(folder: str | os.PathLike[str], but: str | os.PathLike[str] | None = None) -> Path | None:
    """The newest whole ``.ckpt`` in the folder, other than ``but``; None if there is none."""
    other = None if but is None else os.path.realpath(but)
    found = [path for path in Path(folder).glob("*.ckpt") if os.path.realpath(path) != other]
    return next((path for path in newest_first(found) if is_intact(path)), None)


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """The files by age; of one and a link to it the link, which was asked for by name, and it may point to nothing."""

    def age(path: Path) -> tuple[float, bool]:
        status = path.stat() if path.exists() else path.lstat()
        return status.st_mtime, path.is_symlink()

    return sorted(paths, key=age, reverse=True)


def _torn_record(file: IO[bytes]) -> str | None:
    """The first record of the archive that is not as it was written; torch itself does not look."""
    with zipfile.ZipFile(file) as archive:
        return archive.testzip()


def _check_sums(file: IO[bytes], name: str) -> None:
    if not file.seekable():
        return
    try:
        # A file from before torch 1.6 is no archive, and has no sums.
        torn = _torn_record(file) if zipfile.is_zipfile(file) else None
    except Exception as error:
        raise _damaged(name, error) from error
    if torn is not None:
        raise _damaged(name, ValueError(f"the record {torn!r} does not have the checksum that it was written with"))
    file.seek(0)


def _load(file: IO[bytes], name: str, location: Any, safe: bool) -> Any:
    _check_sums(file, name)
    try:
        if not safe:
            return torch.load(file, map_location=location, weights_only=False)
        with harmless() as finish:
            return finish(torch.load(file, map_location=location, weights_only=True))
    except (ImportError, AttributeError) as error:
        if safe:
            raise _damaged(name, error) from error
        raise CheckpointError(f"The checkpoint {name!r} holds a class that is not there: {error}.") from error
    except Exception as error:
        strangers = _strangers(file, error) if safe else []
        raise (_untrusted(name, strangers) if strangers else _damaged(name, error)) from error


def _untrusted(name: str, strangers: list[str]) -> UntrustedCheckpoint:
    classes = ", ".join(entry.rpartition(".")[2] for entry in strangers)
    return UntrustedCheckpoint(
        f"The checkpoint {name!r} holds {', '.join(strangers)}, and loading that can run any code. If you trust the "
        f"file, pass `weights_only=False`; if you trust these classes alone, import them and call "
        f"`torch.serialization.add_safe_globals([{classes}])` before loading."
    )


def _damaged(name: str, error: Exception) -> CheckpointError:
    reason = str(error).strip().partition("\n")[0]
    if len(reason) < 10:  # a number, or nothing: what kind of error it is says more
        reason = f"{type(error).__name__} {reason}".strip()
    folder = Path(name).parent
    other = None if is_url(name) or not folder.is_dir() else newest_intact(folder, but=name)
    hint = f". The newest whole one beside it is {str(other)!r}" if other else ""
    return CheckpointError(f"The checkpoint {name!r} is cut short, damaged, or none at all: {reason}{hint}")


def _strangers(file: IO[bytes], error: Exception) -> list[str]:
    """The names in the file that a safe read refuses; nothing of the file is run to find them."""
    if not isinstance(error, pickle.UnpicklingError):
        return []
    try:
        file.seek(0)
        with harmless():
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except Exception:
        # Files of the time before zip archives; the message names the first of them.
        return re.findall(r"GLOBAL ([\w.]+) (?:was not|whose)", str(error))


def _where_it_was(storage: Any, location: str) -> Any:
    """Leave a storage to torch (None) where its device is here, else keep it on the CPU."""
    kind, _, index = location.partition(":")
    if kind in ("cpu", "meta"):
        return None
    backend = getattr(torch, kind, None)
    count = backend.device_count() if backend is not None and backend.is_available() else 0
    return None if int(index or 0) < count else storage


def _name(source: Source) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else str(getattr(source, "name", source))
