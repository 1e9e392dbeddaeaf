"""Checkpoints that many processes write: a folder, in which each has put the pieces it holds.

The pieces lie as `torch.distributed.checkpoint` lays them down; all else is in a file as other checkpoints are, with
None in the place of each piece and a list of these places. The folder gets its name when all of it is on the disk.
"""

import io
import os
import pickle
import re
import secrets
import shutil
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import IO, Any

import torch
from torch import Tensor

from fulgurite.base import format, paths
from fulgurite.base.errors import CheckpointError, UntrustedCheckpoint
from fulgurite.base.pieces import exchanged, pieces, with_values
from fulgurite.base.tree import map_tensors

REST, INDEX = "meta.pt", ".metadata"
PLACES, SUM = "pieces", "index_crc32"
"""The list of places among our notes: for each its name in the index, its way through the checkpoint, and the name of
the parameter that it belongs to. Beside it the checksum of the index, which has none."""
_OF_TORCH = "torch.distributed.checkpoint."
_HARMLESS = {
    *(
        (f"{_OF_TORCH}metadata", name)
        for name in (
            *("Metadata", "MetadataIndex", "StorageMeta", "TensorProperties", "TensorStorageMetadata"),
            *("BytesStorageMetadata", "ChunkStorageMetadata", "_MEM_FORMAT_ENCODING"),
        )
    ),
    (f"{_OF_TORCH}filesystem", "_StorageInfo"),
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
}

Found = list[tuple[str, list[Any], str | None]]


def is_folder(path: Any) -> bool:
    """Whether a checkpoint in pieces lies at ``path``."""
    return not paths.is_url(path) and os.path.isfile(os.path.join(path, REST)) and os.path.isdir(path)


def read(path: format.Source, map_location: Any = None, weights_only: bool | None = None) -> Any:
    """Return the checkpoint at ``path``, be it a file or a folder, which is put together. As `format.read`."""
    if not isinstance(path, str | os.PathLike) or not is_folder(path):
        return format.read(path, map_location, weights_only)
    checkpoint = read_folder(path, weights_only=weights_only)
    if map_location is None:
        return checkpoint
    if not isinstance(map_location, str | torch.device):
        raise TypeError(f"map_location={map_location!r}: for a checkpoint that is a folder, a device was expected.")
    return map_tensors(checkpoint, lambda tensor: tensor.to(map_location))


def read_folder(
    path: str | os.PathLike[str],
    empty: Callable[[str | None, torch.Size, torch.dtype], Tensor] | None = None,
    weights_only: bool | None = None,
    group: Any = None,
) -> dict[str, Any]:
    """Return the checkpoint in the folder ``path``.

    ``empty(parameter, shape, dtype)`` gives what a piece is read into, whole tensors unless it is given; with it all
    processes of ``group`` read together. Raises ``UntrustedCheckpoint`` where more is in it than numbers, and
    ``CheckpointError`` where a part is missing.
    """
    import torch.distributed.checkpoint as dcp  # late: half a second

    checkpoint = format.read(Path(path) / REST, "cpu", weights_only)
    found = _places(path, checkpoint)
    index = read_index(path)
    if zlib.crc32((Path(path) / INDEX).read_bytes()) != checkpoint[format.NOTES].pop(SUM, None):
        raise CheckpointError(f"The index of the checkpoint {str(path)!r} is damaged: its checksum is another.")
    into: dict[str, Any] = {}
    for name, _, parameter in found:
        entry = index.state_dict_metadata.get(name)
        if not hasattr(entry, "chunks"):
            raise CheckpointError(f"The checkpoint {str(path)!r} is damaged: {name!r} is not among its pieces.")
        shape, dtype = entry.size, entry.properties.dtype
        into[name] = torch.empty(shape, dtype=dtype) if empty is None else empty(parameter, shape, dtype)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
            dcp.load(into, storage_reader=_reader(path, index), process_group=group, no_dist=group is None)
    except BaseException as error:
        raise CheckpointError(f"The checkpoint {str(path)!r} can't be read: {_reason(error)}") from error
    return with_values(checkpoint, {tuple(way): into[name] for name, way, _ in found})


def write_folder(
    checkpoint: dict[str, Any],
    path: str | os.PathLike[str],
    name_of: Callable[[tuple[Any, ...]], str | None],
    group: Any,
) -> None:
    """Write ``checkpoint`` to the folder ``path``: all processes of ``group`` have to come.

    ``name_of`` tells which parameter a piece belongs to, by its place. Raises ``CheckpointError`` on all ranks where
    one could not write; what was there before is then still there.
    """
    if paths.is_url(path):
        raise CheckpointError(f"The checkpoint {str(path)!r} can't be a folder of pieces: it has to be a local place.")
    target = Path(path)
    is_first = torch.distributed.get_rank(group) == 0
    made = _attempt(_begun, target) if is_first else None
    temporary, problem = _told(made, group)[0]
    if problem is not None:
        raise CheckpointError(f"The checkpoint {str(path)!r} cannot be written: {problem}")
    _, problem = _attempt(_write_pieces, checkpoint, temporary, name_of, group, is_first)
    problems = [problem for problem in _told(problem, group) if problem is not None]
    done = _attempt(_finished, Path(temporary), target) if is_first and not problems else (None, None)
    _, problem = _told(done, group)[0]
    if problems or problem is not None:
        if is_first:
            shutil.rmtree(temporary, ignore_errors=True)
        reason = "; ".join(dict.fromkeys([*problems, *([] if problem is None else [problem])]))
        raise CheckpointError(f"The checkpoint {str(path)!r} cannot be written: {reason}")


def is_intact(path: str | os.PathLike[str]) -> bool:
    """Whether the file or folder at ``path`` is a whole checkpoint, with the checksums that it was written with."""
    if not os.path.isdir(path):
        return format.is_intact(path)
    try:
        stored = read_index(path).storage_data.values()
        return _fits_index(Path(path)) and all(_is_whole(Path(path), info) for info in stored)
    except Exception:  # damaged bytes may say anything
        return False


def mentions(path: str | os.PathLike[str], key: str) -> bool:
    """Whether the whole checkpoint at ``path`` has such a key somewhere; its tensors are not read."""
    return format.mentions(os.path.join(path, REST) if os.path.isdir(path) else path, key)


def _fits_index(path: Path) -> bool:
    """Whether the rest of the checkpoint is whole, and was written with this index."""
    try:
        notes = format.read(path / REST, "cpu")[format.NOTES]
    except UntrustedCheckpoint:
        # Whole it may be; whether it is to be trusted is asked where it is loaded.
        return format.is_intact(path / REST)
    return bool(zlib.crc32((path / INDEX).read_bytes()) == notes[SUM])


def remove(path: str | os.PathLike[str]) -> None:
    """Delete the file or the folder of a checkpoint, if it is there; half of one is never left under its name."""
    if not is_folder(path) or os.path.islink(path):
        paths.remove(path)
        return
    hidden = _beside(Path(path))
    os.replace(path, hidden)
    shutil.rmtree(hidden)


def read_index(path: str | os.PathLike[str]) -> Any:
    """Return torch's index of the pieces. It is a pickle: nothing in it is called but what describes tensors."""
    try:
        with open(Path(path) / INDEX, "rb") as file:
            index = _Harmless(file).load()
        total = sum(entry.stat().st_size for entry in os.scandir(path))
        _check_index(index, total)
    except UntrustedCheckpoint as error:
        raise UntrustedCheckpoint(f"The checkpoint {str(path)!r} {error}") from None
    except FileNotFoundError as error:
        raise CheckpointError(f"The checkpoint {str(path)!r} is not whole: there is no {INDEX!r} in it.") from error
    except Exception as error:
        raise CheckpointError(f"The index of the checkpoint {str(path)!r} is damaged: {error!r}.") from error
    return index


# -- writing --------------------------------------------------------------------------------------------------------


def _attempt(act: Callable[..., Any], *args: Any) -> tuple[Any, str | None]:
    """What ``act`` gives, and what went wrong."""
    try:
        return act(*args), None
    except BaseException as error:
        return None, _reason(error)


def _reason(error: BaseException) -> str:
    """What went wrong, in a line. Raises the error itself where somebody wants the program to end."""
    failures = getattr(error, "failures", None)
    if isinstance(failures, dict):
        # torch's word for what went wrong on some ranks, which is no Exception.
        return "; ".join(f"{_reason(each[0])} (rank {rank})" for rank, each in failures.items())
    if not isinstance(error, Exception):
        raise error
    cause = error.__cause__ or error
    return str(cause).strip().partition("\n")[0] or repr(cause)


def _told(value: Any, group: Any) -> list[Any]:
    """What everybody says, by rank."""
    everybody: list[Any] = [None] * torch.distributed.get_world_size(group)
    torch.distributed.all_gather_object(everybody, value, group=group)
    return everybody


def _begun(target: Path) -> str:
    """Make the hidden folder that will take the place of ``target``; what a killed process left of one goes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for torn in target.parent.glob(f".{target.name}.*.parts"):
        shutil.rmtree(torn, ignore_errors=True)
    made = _beside(target)
    made.mkdir()
    return str(made)


def _beside(target: Path) -> Path:
    return target.parent / f".{target.name}.{secrets.token_hex(4)}.parts"


def _write_pieces(checkpoint: dict[str, Any], folder: str, name_of: Any, group: Any, is_first: bool) -> None:
    import torch.distributed.checkpoint as dcp  # late: half a second

    found = {way: piece.detach() for way, piece in pieces(checkpoint)}
    names = {way: ".".join(map(str, way)) for way in found}
    writer = dcp.FileSystemWriter(folder, sync_files=True)
    dcp.save({names[way]: piece for way, piece in found.items()}, storage_writer=writer, process_group=group)
    if is_first:
        places: Found = [(name, list(way), name_of(way)) for way, name in names.items()]
        rest = exchanged(checkpoint, lambda _, piece: None)
        total = zlib.crc32((Path(folder) / INDEX).read_bytes())
        notes = {**rest.get(format.NOTES, {}), PLACES: [list(place) for place in places], SUM: total}
        format.write({**rest, format.NOTES: notes}, Path(folder) / REST)


def _finished(temporary: Path, target: Path) -> None:
    """Give the folder its name, in the place of what had it."""
    if not is_intact_in_size(temporary):
        raise CheckpointError("a piece is not on the disk as it was written")
    paths.sync_folder(temporary)
    before = None
    if target.is_dir() and not target.is_symlink():
        before = _beside(target)
        os.replace(target, before)
    elif target.is_symlink() or target.exists():
        target.unlink()
    os.replace(temporary, target)
    paths.sync_folder(target.parent)
    if before is not None:
        shutil.rmtree(before)


def is_intact_in_size(path: Path) -> bool:
    """Whether every piece of the index has its bytes."""
    sizes = {entry.name: entry.stat().st_size for entry in os.scandir(path)}
    stored = read_index(path).storage_data.values()
    return all(info.offset + info.length <= sizes.get(info.relative_path, -1) for info in stored)


# -- reading --------------------------------------------------------------------------------------------------------


class _Harmless(pickle.Unpickler):
    """Makes what describes tensors and where they lie, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _HARMLESS or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)):
            return super().find_class(module, name)
        if module.partition(".")[0] == "pathlib" and name.endswith("Path"):
            return PurePath  # where the folder was when it was written; of any system
        raise UntrustedCheckpoint(
            f"holds {module}.{name} in its index, and loading that could run any code. Nothing that Fulgurite or torch "
            "writes there has it: do not load this folder."
        )


def _check_index(index: Any, total: int) -> None:
    """Raise ``ValueError`` where the index names files elsewhere, or asks for more memory than there are bytes."""
    for info in index.storage_data.values():
        if re.fullmatch(r"[\w.-]+", info.relative_path) is None or info.relative_path in (".", ".."):
            raise ValueError(f"a piece in {info.relative_path!r}")
        if info.transform_descriptors:
            raise ValueError(f"a piece that is packed by {info.transform_descriptors!r}")
    needed = 0
    for entry in index.state_dict_metadata.values():
        if hasattr(entry, "chunks"):
            count = 1
            for length in entry.size:
                count *= length
            needed += count * entry.properties.dtype.itemsize
    if needed > total:
        raise ValueError(f"pieces of {needed} bytes in a folder of {total}")


def _reader(path: str | os.PathLike[str], index: Any) -> Any:
    from torch.distributed.checkpoint import FileSystemReader  # late: half a second
    from torch.distributed.checkpoint.metadata import StorageMeta

    class Reader(FileSystemReader):
        """Does not unpickle the index by itself, and looks at checksums, which torch does not."""

        def read_data(self, plan: Any, planner: Any) -> Any:
            for info in {
                id(info): info for info in (self.storage_data[item.storage_index] for item in plan.items)
            }.values():
                if not _is_whole(Path(path), info):
                    raise ValueError(
                        f"a piece in {info.relative_path!r} does not have the checksum it was written with"
                    )
            return super().read_data(plan, planner)

        def read_metadata(self, *args: Any, **kwargs: Any) -> Any:
            index.storage_meta = StorageMeta(load_id=self.load_id)
            return index

    return Reader(os.fspath(path))


def _places(path: Any, checkpoint: Any) -> Found:
    notes = checkpoint.get(format.NOTES) if isinstance(checkpoint, dict) else None
    try:
        assert isinstance(notes, dict)
        return [(str(name), [*way], parameter) for name, way, parameter in notes.pop(PLACES)]
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"The checkpoint {str(path)!r} is a folder that does not say where its pieces belong: it was not written "
            "by Fulgurite. Load it with what wrote it, and save it as one file."
        ) from error


def _is_whole(folder: Path, info: Any) -> bool:
    with open(folder / info.relative_path, "rb") as file:
        return _has_sums(file, info.offset, info.length)


def _has_sums(file: IO[bytes], offset: int, length: int) -> bool:
    file.seek(offset)
    part = file.read(length)
    if len(part) != length:
        return False
    with zipfile.ZipFile(io.BytesIO(part)) as archive:
        return archive.testzip() is None
