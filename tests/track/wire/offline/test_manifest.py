"""The files of an artifact, wherever the real client has listed them."""

import dataclasses
from pathlib import Path

import pytest

from fulgurite.track.wire.offline.manifest import entries_of
from fulgurite.track.wire.offline.records import Artifact
from fulgurite.track.wire.offline.runs import find_runs
from support.offline_run import ended, start


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """The same files twice: listed in the record, and as the client does if they are very many."""
    pytest.importorskip("wandb")
    folder = tmp_path_factory.mktemp("manifests")
    assert start("manifests", folder).wait(60) == 0
    (run,) = find_runs(folder)
    return [content for content in ended(run).read() if isinstance(content, Artifact)]


def test_a_list_in_a_file_says_the_same_as_one_in_the_record(artifacts):
    """Files with their copies, references with their addresses and what is known of them."""
    in_record, in_file = artifacts
    assert in_record.entries and not in_record.manifest_file
    assert in_file.manifest_file and not in_file.entries

    expected, found = ({entry.path: entry for entry in entries_of(one)} for one in artifacts)

    assert found.keys() == expected.keys() == {"a.txt", "b.txt", "y", "z"}
    for path, entry in expected.items():
        assert dataclasses.replace(found[path], local_path="") == dataclasses.replace(entry, local_path="")
    assert Path(found["a.txt"].local_path).read_text() == Path(expected["a.txt"].local_path).read_text() == "first"
    assert found["z"].reference.startswith("file://")


def test_a_list_that_is_gone_is_named(artifacts, tmp_path):
    """The artifact is not taken for one without files."""
    gone = dataclasses.replace(artifacts[1], manifest_file=str(tmp_path / "gone.jl.gz"))

    with pytest.raises(FileNotFoundError, match=r"gone\.jl\.gz, which is not there\. Read the run on the machine"):
        list(entries_of(gone))
