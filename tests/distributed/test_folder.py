"""Checkpoints that are folders: whole or not there, and harmless to read."""

import os
import pickle
import shutil
import zlib
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from fulgurite import LightningModule
from fulgurite.base import folder, format
from fulgurite.base.errors import CheckpointError, UntrustedCheckpoint
from support.ranks import on_ranks

WHOLE = torch.arange(12.0).reshape(6, 2)


def written(path, then=None):
    """Write a checkpoint with one piece from two ranks; return what went wrong."""
    rank = int(os.environ["LOCAL_RANK"])
    dist.init_process_group("gloo", rank=rank, world_size=2)
    cut = distribute_tensor(WHOLE.clone(), init_device_mesh("cpu", (2,)), [Shard(0)])
    checkpoint = {"state_dict": {"weight": cut, "bias": torch.ones(2)}, "epoch": 3, "fulgurite": {"kept": [cut + 1]}}
    if then == "no room on rank 1" and rank == 1:
        dcp.FileSystemWriter.write_data = _no_room
    try:
        folder.write_folder(checkpoint, path, lambda way: str(way[-1]), None)
    except CheckpointError as error:
        return str(error)
    finally:
        dist.destroy_process_group()
    return None


def _no_room(self, plan, planner):
    raise OSError(28, "No space left on device")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("written") / "one.ckpt"
    torn = path.parent / ".one.ckpt.0badc0de.parts"
    torn.mkdir()
    assert on_ranks(written, str(path)) == [None, None]
    return path


@pytest.fixture
def path(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "copy.ckpt"))


def test_what_two_ranks_wrote_comes_back_whole(path):
    found = folder.read(path)

    assert torch.equal(found["state_dict"]["weight"], WHOLE)
    assert torch.equal(found["fulgurite"]["kept"][0], WHOLE + 1)
    assert found["epoch"] == 3 and list(found["state_dict"]) == ["weight", "bias"]
    assert folder.is_intact(path)


def test_what_a_killed_process_left_goes_at_the_next_write(original):
    assert [each.name for each in original.parent.iterdir()] == ["one.ckpt"]


def test_a_write_that_fails_on_one_rank_fails_on_all_and_leaves_the_old_one(path):
    problems = on_ranks(written, str(path), "no room on rank 1")

    assert all("No space left on device" in problem for problem in problems)
    assert folder.is_intact(path)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_place_that_can_not_be_written_fails_on_all_ranks(tmp_path):
    (tmp_path / "file").touch()

    problems = on_ranks(written, str(tmp_path / "file" / "one.ckpt"))

    assert all("cannot be written" in problem for problem in problems)


FLIPPED = {
    folder.REST: torch.ones(2).numpy().tobytes(),
    folder.INDEX: b"weight",
    "__0_0.distcp": WHOLE[:3].numpy().tobytes(),
    "__1_0.distcp": WHOLE[3:].numpy().tobytes(),
}
"""A place in each file that means something."""


@pytest.mark.parametrize("part", [folder.REST, folder.INDEX, "__0_0.distcp", "__1_0.distcp"])
@pytest.mark.parametrize("harm", ["gone", "cut", "flipped"])
def test_a_damaged_folder_is_not_taken_for_whole(path, part, harm):
    file = path / part
    data = bytearray(file.read_bytes())
    if harm == "gone":
        file.unlink()
    elif harm == "cut":
        file.write_bytes(data[:-40])
    else:
        data[data.find(FLIPPED[part])] ^= 0xFF
        file.write_bytes(data)

    assert not folder.is_intact(path)
    with pytest.raises((CheckpointError, FileNotFoundError)):
        folder.read(path)


class Runs:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_an_index_that_would_run_code_is_refused(path):
    (path / folder.INDEX).write_bytes(pickle.dumps({"state_dict_metadata": Runs()}))

    with pytest.raises(UntrustedCheckpoint, match=r"posix.system in its index"):
        folder.read(path)
    with pytest.raises(UntrustedCheckpoint):
        LightningModule.load_from_checkpoint(path)

    assert not folder.is_intact(path)
    assert not Path("ran").exists()


def test_the_rest_of_a_folder_is_read_as_carefully_as_a_file(path):
    rest = format.read(path / folder.REST)
    torch.save({**rest, "callbacks": Runs()}, path / folder.REST)

    with pytest.raises(UntrustedCheckpoint):
        folder.read(path)

    assert not Path("ran").exists()


def test_a_piece_that_is_no_numbers_is_not_read(path):
    """torch reads them by an unpickler that runs anything."""
    index = folder.read_index(path)
    index.state_dict_metadata["state_dict.weight"] = _bytes_entry()
    (path / folder.INDEX).write_bytes(pickle.dumps(index))
    rest = format.read(path / folder.REST)
    rest["fulgurite"][folder.SUM] = zlib.crc32((path / folder.INDEX).read_bytes())
    format.write(rest, path / folder.REST)

    with pytest.raises(CheckpointError, match="'state_dict.weight' is not among its pieces"):
        folder.read(path)


def _bytes_entry():
    from torch.distributed.checkpoint.metadata import BytesStorageMetadata

    return BytesStorageMetadata()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda info: {"relative_path": "../../secret"}, "a piece in '../../secret'"),
        (lambda info: {"transform_descriptors": ["zstd"]}, "packed by"),
    ],
)
def test_an_index_that_leads_elsewhere_is_refused(path, change, words):
    index = folder.read_index(path)
    for info in index.storage_data.values():
        vars(info).update(change(info))
    (path / folder.INDEX).write_bytes(pickle.dumps(index))

    with pytest.raises(CheckpointError, match=words):
        folder.read(path)


def test_an_index_that_asks_for_more_memory_than_there_are_bytes_is_refused(path):
    index = folder.read_index(path)
    index.state_dict_metadata["state_dict.weight"].size = torch.Size([10**6, 10**6])
    (path / folder.INDEX).write_bytes(pickle.dumps(index))

    with pytest.raises(CheckpointError, match="in a folder of"):
        folder.read(path)


def test_a_folder_of_another_kind_says_so(path):
    rest = format.read(path / folder.REST)
    rest["fulgurite"].pop(folder.PLACES)
    format.write(rest, path / folder.REST)

    with pytest.raises(CheckpointError, match="does not say where its pieces belong"):
        folder.read(path)


def test_a_folder_is_removed_with_all_that_is_in_it(path):
    folder.remove(path)
    folder.remove(path)

    assert list(path.parent.iterdir()) == []
