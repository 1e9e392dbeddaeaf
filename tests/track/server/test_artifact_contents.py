"""What is in artifacts, over the API: folders, single files, all as a zip, and what differs between versions."""

import io
import json
import tracemalloc
import zipfile

import pytest

from fulgurite.track.server.api.archive import PIECE, safe_names, zipped
from fulgurite.track.store.contents import Entry
from support.artifacts import logged

V = "/api/projects/local/p/artifacts/dataset/things/v0"
EVIL = ["/etc/passwd", "../../up", "a/../../b", "C:\\windows\\x", "..", "a\\..\\c"]


@pytest.fixture
def project(store):
    return store.runs.project("p", create=True)


@pytest.fixture
def things(store, project):
    files = {"top.txt": b"hello", "a/one.bin": b"1" * 10, "a/b/two.bin": b"2" * 20, "z.html": b"<script>1</script>"}
    return logged(store, project, "things", "dataset", files, references=[("far.parquet", "s3://bucket/far.parquet")])


def test_folders_are_looked_into_one_by_one(client, things):
    top, inner = client.get(V + "/files").json(), client.get(V + "/files", params={"folder": "a"}).json()

    assert top["folders"] == [{"name": "a", "files": 2, "size": 30}]
    assert [each["name"] for each in top["files"]] == ["far.parquet", "top.txt", "z.html"]
    assert top["files"][0]["ref"] == "s3://bucket/far.parquet" and (top["count"], top["total"]) == (3, 5)
    assert inner["folders"] == [{"name": "b", "files": 1, "size": 20}]
    assert [(each["name"], each["size"]) for each in inner["files"]] == [("a/one.bin", 10)] and inner["size"] == 30
    page = client.get(V + "/files", params={"first": 1, "from": 1}).json()
    assert [each["name"] for each in page["files"]] == ["top.txt"]
    assert client.get(V + "/files", params={"folder": "nope"}).status_code == 404


def test_a_file_can_be_seen_or_saved(client, things):
    """What it holds can't act in our name, and parts of it can be asked for."""
    seen = client.get(V + "/file", params={"name": "z.html"})
    assert seen.content == b"<script>1</script>" and "sandbox" in seen.headers["content-security-policy"]
    saved = client.get(V + "/file", params={"name": "a/b/two.bin", "download": 1}, headers={"range": "bytes=0-4"})

    assert saved.status_code == 206 and saved.content == b"22222"
    assert saved.headers["content-disposition"] == 'attachment; filename="two.bin"'


@pytest.mark.parametrize(
    ("name", "words"), [("nope", "no file 'nope'"), ("far.parquet", "content is at s3://bucket/far.parquet, not here")]
)
def test_a_file_that_is_not_here(client, things, name, words):
    answer = client.get(V + "/file", params={"name": name})

    assert answer.status_code == 404 and words in answer.json()["error"]


def test_all_files_come_as_a_zip(client, things):
    answer = client.get(V + "/zip")

    assert answer.headers["content-disposition"] == 'attachment; filename="things-v0.zip"'
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    read = {name: archive.read(name) for name in archive.namelist()}
    assert json.loads(read.pop("references.json")) == {"far.parquet": "s3://bucket/far.parquet"}
    assert read == {
        "top.txt": b"hello", "a/one.bin": b"1" * 10, "a/b/two.bin": b"2" * 20, "z.html": b"<script>1</script>",
    }  # fmt: skip


def test_no_name_in_a_zip_leads_out_of_its_folder(client, store, project):
    logged(store, project, "things", "dataset", {name: str(i).encode() for i, name in enumerate(EVIL)})

    archive = zipfile.ZipFile(io.BytesIO(client.get(V + "/zip").content))

    assert {archive.read(name) for name in archive.namelist()} == {str(i).encode() for i in range(len(EVIL))}
    for name in archive.namelist():
        assert not name.startswith("/") and ":" not in name and "\\" not in name and ".." not in name.split("/")


def test_names_that_become_the_same_are_told_apart():
    """Also those that differ in capitals only: some systems take them for one file."""
    assert safe_names(["a/x.txt", "/a/x.txt", "A/X.txt", "..", ""]) == [
        "a/x.txt", "a/x (2).txt", "A/X (3).txt", "unnamed", "unnamed (2)",
    ]  # fmt: skip


def test_no_drive_is_left_behind_others():
    assert safe_names(["/C:/a", "c:D:\\b", " / e:c"]) == ["a", "b", "c"]


def test_a_zip_of_a_large_file_needs_little_memory(tmp_path):
    """A few pieces at a time, whatever the size."""
    file = tmp_path / "large"
    with open(file, "wb") as target:
        target.truncate(64 * PIECE)
    entry = Entry("large", "x", 64 * PIECE, None, "sha")

    tracemalloc.start()
    sizes = [len(piece) for piece in zipped([entry], lambda sha256: file, 0.0)]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(sizes) > 64 * PIECE and most < 6 * PIECE


def test_what_differs_between_versions(client, store, project, things):
    after = {"top.txt": b"hello, you", "a/one.bin": b"1" * 10, "new": b"n"}
    logged(store, project, "things", "dataset", after)

    answer = client.get(V + "/difference", params={"to": "latest"}).json()

    assert [each["name"] for each in answer["added"]] == ["new"]
    assert [each["name"] for each in answer["removed"]] == ["a/b/two.bin", "far.parquet", "z.html"]
    assert answer["changed"] == [{"name": "top.txt", "before": 5, "after": 10}]
    assert answer["counts"] == {"added": 1, "removed": 3, "changed": 1, "same": 1}
    assert client.get(V + "/difference").status_code == 400
    assert client.get(V + "/difference", params={"to": "v9"}).status_code == 404
