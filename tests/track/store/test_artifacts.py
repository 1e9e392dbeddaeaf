"""Artifacts in the store: versions, aliases, contents, and what is let go of."""

import hashlib
import json
import threading

import pytest

from fulgurite.track.store.artifacts import COMMITTED, DELETED, PENDING
from fulgurite.track.store.collections import PORTFOLIO
from fulgurite.track.store.contents import FULL, INCREMENTAL, PATCH, digest_of
from fulgurite.track.store.errors import NotFound, StoreError
from fulgurite.track.store.lineage import INPUT, OUTPUT

TEXTS = ("kept", "shared", "coming", "gone")


@pytest.fixture
def artifacts(store):
    return store.artifacts


@pytest.fixture
def project(store):
    return store.runs.project("p", create=True)


@pytest.fixture
def sequence(artifacts, project):
    return artifacts.collections.open(project, "things", "dataset")


def filled(store, artifact, kind=FULL, base=None, **files):
    """Send an artifact's files and its list of them."""
    blobs = {name: store.blobs.keep_bytes(text.encode()) for name, text in files.items()}
    for name, blob in blobs.items():
        store.artifacts.contents.take(artifact.id, name, blob)
    listed = {name: {"digest": blob.md5, "size": blob.size} for name, blob in blobs.items()}
    manifest = store.artifacts.contents.expect(artifact.id, kind, base)
    text = json.dumps({"version": 1, "contents": listed})
    store.artifacts.contents.take_manifest(manifest.id, store.blobs.keep_bytes(text.encode()))
    return artifact


def logged(store, sequence, digest, aliases=(), run=None, **files):
    artifact = store.artifacts.open(sequence, digest, run, aliases)
    return store.artifacts.commit(filled(store, artifact, **files))


def aliases(artifacts, artifact):
    return sorted(alias.name for alias in artifacts.members.aliases(artifact.id))


def test_versions_are_numbered_as_they_are_committed(store, artifacts, sequence):
    """An artifact that is still being written has no number and is nowhere to be found."""
    slow = filled(store, artifacts.open(sequence, "slow"), a="1")
    fast = logged(store, sequence, "fast", a="2")
    with pytest.raises(NotFound):
        artifacts.members.find(sequence, "slow")

    slow = artifacts.commit(slow)

    assert (fast.number, slow.number) == (0, 1)
    assert [member.artifact_id for member in artifacts.members.of(sequence)] == [slow.id, fast.id]
    assert (slow.state, slow.size, slow.file_count) == (COMMITTED, 1, 1)


def test_a_version_is_found_by_all_its_names(store, artifacts, sequence):
    first = logged(store, sequence, "one", ["best"], a="1")
    second = logged(store, sequence, "two", a="2")

    found = {name: artifacts.members.find(sequence, name).artifact_id for name in ("best", "v0", "one", "latest")}

    assert found == {"best": first.id, "v0": first.id, "one": first.id, "latest": second.id}
    for name in ("v2", "worst", ""):
        with pytest.raises(NotFound, match=f"no artifact things:{name}"):
            artifacts.members.find(sequence, name)


def test_committing_again_changes_nothing(store, artifacts, sequence):
    """A client whose answer got lost asks again."""
    artifact = logged(store, sequence, "one", a="1")

    assert artifacts.commit(artifact) == artifact
    assert artifacts.commit(artifacts.by_id(artifact.id)).number == 0


def test_the_same_digest_is_the_same_version(store, artifacts, project, sequence):
    """In one collection, if the client wants that; the run that logs it again has made it as well."""
    run = store.runs.open(project, "r")[0]
    first = logged(store, sequence, "same", ["a"], a="1")

    again = artifacts.open(sequence, "same", run.id, ["b"])
    elsewhere = artifacts.open(artifacts.collections.open(project, "others", "dataset"), "same")

    assert (again.id, again.state) == (first.id, COMMITTED)
    assert aliases(artifacts, first) == ["a", "b", "latest"]
    assert artifacts.lineage.of(run.id, OUTPUT) == [first.id]
    assert elsewhere.state == PENDING
    assert artifacts.open(sequence, "same", once=False).id != first.id


def test_each_name_that_a_client_gave_is_known(store, artifacts, sequence):
    """What is logged again is the artifact that is there, also by the id that it has this time."""
    first = artifacts.commit(filled(store, artifacts.open(sequence, "same", client_id="one"), a="1"))
    artifacts.open(sequence, "same", client_id="two")

    assert artifacts.by_client("one").id == artifacts.by_client("two").id == first.id
    with pytest.raises(NotFound):
        artifacts.by_client("three")

    artifacts.delete(first, with_aliases=True)
    with pytest.raises(NotFound):
        artifacts.by_client("two")
    living = logged(store, sequence, "other", a="2")
    artifacts.open(sequence, "other", client_id="one")
    assert artifacts.by_client("one").id == living.id


def test_an_artifact_without_all_its_files_is_not_committed(store, artifacts, sequence):
    """It can be, once they have come."""
    artifact = artifacts.open(sequence, "one")
    with pytest.raises(StoreError, match="list of files has not arrived"):
        artifacts.commit(artifact)
    listed = {f"{i}.txt": {"digest": f"{i}", "size": 1} for i in range(5)}
    manifest = artifacts.contents.expect(artifact.id, FULL, None)
    text = json.dumps({"version": 1, "contents": listed})
    artifacts.contents.take_manifest(manifest.id, store.blobs.keep_bytes(text.encode()))
    with pytest.raises(StoreError, match=r"5 of the artifact's 5 files have not arrived: 0\.txt, 1\.txt, 2\.txt, …"):
        artifacts.commit(artifact)

    assert artifacts.commit(filled(store, artifact, a="1")).number == 0


def test_two_commits_at_once_get_two_numbers(store, artifacts, sequence):
    pending = [filled(store, artifacts.open(sequence, f"{i}"), a=f"{i}") for i in range(8)]

    threads = [threading.Thread(target=artifacts.commit, args=(artifact,)) for artifact in pending]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(artifacts.by_id(artifact.id).number for artifact in pending) == list(range(8))
    assert artifacts.latest(sequence).number == 7


def test_an_increment_is_laid_on_its_base(store, artifacts, sequence):
    """What it lists anew replaces the base's; the digest is that of the whole."""
    base = logged(store, sequence, "base", a="1", b="2")

    added = artifacts.commit(filled(store, artifacts.open(sequence, "part"), INCREMENTAL, base.id, b="3", c="4"))

    entries = {entry.name: entry.digest for entry in artifacts.contents.entries(added.id)}
    assert entries == {n: store.blobs.keep_bytes(t.encode()).md5 for n, t in (("a", "1"), ("b", "3"), ("c", "4"))}
    assert added.digest == digest_of({name: {"digest": digest} for name, digest in entries.items()})
    listed = json.loads(store.blobs.path(added.manifest).read_bytes())["contents"]
    assert {name: about["digest"] for name, about in listed.items()} == entries


def test_writers_that_share_an_id_fill_one_artifact(store, artifacts, sequence):
    """Until it is committed: who comes after that begins a new one, and loses nothing."""
    one = artifacts.open(sequence, "x", shared_id="g", aliases=["a"])
    two = artifacts.open(sequence, "y", shared_id="g", aliases=["b"])
    assert one.id == two.id
    filled(store, one, PATCH, a="1")
    filled(store, two, PATCH, b="2")

    done = artifacts.commit(two)

    assert [entry.name for entry in artifacts.contents.entries(done.id)] == ["a", "b"]
    assert aliases(artifacts, done) == ["a", "b", "latest"]
    late = artifacts.open(sequence, "z", shared_id="g")
    assert (late.id != done.id, late.state) == (True, PENDING)


def test_references_have_no_content(store, artifacts, sequence):
    artifact = artifacts.open(sequence, "one")
    listed = {"far": {"digest": "x", "ref": "s3://bucket/far", "size": 7}, "web": {"digest": "y", "ref": "http://h/w"}}
    manifest = artifacts.contents.expect(artifact.id, FULL, None)
    text = json.dumps({"version": 1, "contents": listed})
    artifacts.contents.take_manifest(manifest.id, store.blobs.keep_bytes(text.encode()))

    artifact = artifacts.commit(artifact)

    assert [(entry.ref, entry.sha256) for entry in artifacts.contents.entries(artifact.id)] == [
        ("s3://bucket/far", None),
        ("http://h/w", None),
    ]
    assert (artifact.size, artifact.file_count) == (7, 2)


def test_files_are_read_page_by_page(store, artifacts, sequence):
    artifact = logged(store, sequence, "one", **{f"f{i:03}": f"{i}" for i in range(25)})

    page = artifacts.contents.entries(artifact.id, start=20, count=10)

    assert [entry.name for entry in page] == [f"f{i:03}" for i in range(20, 25)]
    assert [entry.name for entry in artifacts.contents.entries(artifact.id, ["f007", "g"])] == ["f007"]


def test_a_deleted_version_leaves_everything_in_order(store, artifacts, sequence):
    """`latest` goes back, links go, the number is not used again; nobody deletes by mistake what has aliases."""
    first, second = logged(store, sequence, "one", a="1"), logged(store, sequence, "two", ["best"], a="2")
    portfolio = artifacts.collections.open(sequence.project, "shown", "dataset", PORTFOLIO)
    artifacts.members.add(portfolio, second.id, ["live"])
    with pytest.raises(StoreError, match="v1 has aliases: latest, best, live"):
        artifacts.delete(second)

    artifacts.delete(second, with_aliases=True)

    assert artifacts.by_id(second.id).state == DELETED
    assert aliases(artifacts, first) == ["latest"]
    assert artifacts.members.of(portfolio) == [] and artifacts.contents.entries(second.id) == []
    assert logged(store, sequence, "two", a="2").number == 2


def test_a_deleted_sequence_takes_its_versions_along_and_a_portfolio_does_not(store, artifacts, sequence):
    artifact = logged(store, sequence, "one", a="1")
    portfolio = artifacts.collections.open(sequence.project, "shown", "dataset", PORTFOLIO)
    artifacts.members.add(portfolio, artifact.id, [])

    artifacts.delete_collection(portfolio)
    assert artifacts.by_id(artifact.id).state == COMMITTED
    artifacts.delete_collection(sequence)

    assert artifacts.by_id(artifact.id).state == DELETED
    assert artifacts.collections.of(sequence.project) == []


def test_a_collection_keeps_to_its_type_and_kind(artifacts, sequence):
    with pytest.raises(StoreError, match="is a sequence of type 'dataset', but a sequence of type 'model' was asked"):
        artifacts.collections.open(sequence.project, "things", "model")
    with pytest.raises(StoreError, match="but a portfolio of type 'dataset' was asked"):
        artifacts.collections.open(sequence.project, "things", "dataset", PORTFOLIO)
    artifacts.collections.open(sequence.project, "taken", "dataset")
    with pytest.raises(StoreError, match="already a collection 'taken' in p"):
        artifacts.collections.describe(sequence, name="taken")


@pytest.mark.parametrize("name", ["v0", "v12", "a/b", "a:b", ""])
def test_an_alias_is_no_version_and_has_no_dividers(store, artifacts, sequence, name):
    artifact = logged(store, sequence, "one", a="1")

    with pytest.raises(StoreError, match="can't be an alias"):
        artifacts.members.point(sequence, artifact.id, [name])


def test_an_alias_can_not_point_out_of_its_collection(store, artifacts, project, sequence):
    artifact = logged(store, sequence, "one", a="1")
    other = artifacts.collections.open(project, "other", "dataset")

    with pytest.raises(NotFound, match="is not in other"):
        artifacts.members.point(other, artifact.id, ["best"])


def test_runs_and_artifacts_outlive_each_other(store, artifacts, project, sequence):
    """What a run has made stays when the run is purged; what it used is no longer known then."""
    run = store.runs.open(project, "r")[0]
    artifact = logged(store, sequence, "one", run=run.id, a="1")
    artifacts.lineage.used(run.id, artifact.id)
    assert artifacts.lineage.of(run.id, OUTPUT) == artifacts.lineage.of(run.id, INPUT) == [artifact.id]

    store.runs.delete([run])
    store.purge(older_than=-1)

    assert artifacts.by_id(artifact.id).run_id is None
    assert artifacts.lineage.users(artifact.id) == []


def test_what_was_never_committed_is_let_go_of_with_time(store, artifacts, sequence):
    """Its files are nobody's then; what was committed stays."""
    done = logged(store, sequence, "one", a="1")
    left = filled(store, artifacts.open(sequence, "left"), a="2")

    assert artifacts.forget_abandoned() == 0
    assert artifacts.forget_abandoned(older_than=-1) == 1

    assert artifacts.by_id(left.id).state == DELETED
    assert artifacts.contents.arrived(left.id) == {}
    assert len(artifacts.contents.entries(done.id)) == 1
    with pytest.raises(NotFound, match="no longer being written"):
        artifacts.contents.take(left.id, "late", store.blobs.keep_bytes(b"3"))


def test_a_sweep_takes_only_what_no_artifact_has(store, artifacts, sequence):
    """Files of committed artifacts and of those that are being written stay, and so do their lists."""
    done = logged(store, sequence, "one", a="kept", b="shared")
    gone = logged(store, sequence, "two", a="gone", b="shared")
    coming = filled(store, artifacts.open(sequence, "three"), a="coming")
    artifacts.delete(gone, with_aliases=True)

    store.blobs.sweep(older_than=-1)

    left = {text: store.blobs.path(hashlib.sha256(text.encode()).hexdigest()).exists() for text in TEXTS}
    assert left == {"kept": True, "shared": True, "coming": True, "gone": False}
    assert artifacts.commit(coming).number == 2
    assert json.loads(store.blobs.path(done.manifest).read_bytes())["contents"].keys() == {"a", "b"}


def test_a_runs_artifacts_can_go_with_it(store, artifacts, project, sequence):
    """What another run had made before stays, although this one logged it again."""
    one, two = store.runs.open(project, "one")[0], store.runs.open(project, "two")[0]
    first = logged(store, sequence, "first", run=one.id, a="1")
    own = logged(store, sequence, "own", run=two.id, a="2")
    artifacts.open(sequence, "first", two.id)

    artifacts.delete_of_run(two.id)

    assert (artifacts.by_id(first.id).state, artifacts.by_id(own.id).state) == (COMMITTED, DELETED)


def test_tags_stick_once(store, artifacts, sequence):
    artifact = logged(store, sequence, "one", a="1")

    artifacts.tags.add(artifact.id, ["x", "y", "x"])
    artifacts.tags.remove(artifact.id, ["y", "z"])

    assert artifacts.tags.of(artifact.id) == ["x"]
    assert artifacts.collections.tags.of(sequence.id) == []


@pytest.mark.parametrize("upload", ["", ".", "..", "../blobs", "0" * 31, "G" * 32])
def test_an_upload_that_was_never_begun_is_not_there(store, artifacts, upload):
    """Its id comes from the client, and must never be a way to another folder."""
    kept = store.blobs.keep_bytes(b"kept")

    with pytest.raises(NotFound, match="no upload"):
        artifacts.parts.drop(upload)

    assert store.blobs.path(kept.sha256).exists()
