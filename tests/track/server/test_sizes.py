"""How large a request may be, wherever it goes."""

import gzip

import pytest
from starlette.testclient import TestClient

from fulgurite.track.server.api import asked
from fulgurite.track.server.app import application
from fulgurite.track.server.secret import secret_of
from fulgurite.track.wire.addresses import Addresses


@pytest.fixture
def small(store):
    """Sends to a server to which files of more than a kilobyte are too large: none of 64 GiB has to be sent."""
    return TestClient(application(store, largest=1000), "http://127.0.0.1:7007")


def test_an_edit_of_more_than_a_mebibyte_is_refused(client, store, run):
    """Packed or not."""
    body = b'{"notes": "' + b"x" * asked.LARGEST + b'"}'

    plain = client.patch("/api/projects/local/p/runs/abc", content=body)
    packed = client.patch(
        "/api/projects/local/p/runs/abc", content=gzip.compress(body), headers={"content-encoding": "gzip"}
    )

    assert (plain.status_code, packed.status_code) == (413, 413)
    assert store.runs.by_id(run.id).notes is None


def test_a_file_that_is_too_large_leaves_nothing(small, store, run):
    """It is refused as soon as it is seen to be, and what had come of it is gone."""
    address = Addresses(secret_of(store.folder), "http://127.0.0.1:7007").upload(run=run.id, name="big")

    answer = small.put(address, content=iter([b"x" * 600, b"x" * 600]))

    assert answer.status_code == 413
    assert store.blobs.files(run.id) == []
    assert not list((store.folder / "coming").iterdir())


def test_a_file_that_fits_is_kept(small, store, run):
    address = Addresses(secret_of(store.folder), "http://127.0.0.1:7007").upload(run=run.id, name="fits")

    assert small.put(address, content=iter([b"x" * 500, b"x" * 500])).status_code == 200
    assert store.blobs.file(run.id, "fits").blob.size == 1000
