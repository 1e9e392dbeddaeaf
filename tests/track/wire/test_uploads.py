"""Files on their way in and out, without the client: whole, in parts, torn, too large."""

import base64
import hashlib
import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from fulgurite.track.store.blobs import PIECE, Incoming
from fulgurite.track.store.errors import StoreFull
from fulgurite.track.wire.ids import inner
from support.track_server import served

LIMIT = 10_000_000


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A server that takes files of at most 10 MB."""
    with served(tmp_path_factory.mktemp("small"), largest=LIMIT) as running:
        yield running


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def put(address, data, **headers):
    """Send ``data`` (bytes; or pieces, whose length is not said before) and return status, headers and text."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request("PUT", parts.path, body=data, headers=headers)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


def ask(server, text, **variables):
    body = json.dumps({"query": text, "variables": variables}).encode()
    asked = urllib.request.Request(f"{server.url}/graphql", body, {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(asked, timeout=60).read())


CREATE = """mutation($i: CreateArtifactInput!) { createArtifact(input: $i) { artifact { id state } } }"""
FILES = """mutation($i: CreateArtifactFilesInput!) { createArtifactFiles(input: $i) { files { edges { node {
    storagePath uploadUrl uploadMultipartUrls { uploadID uploadUrlParts { partNumber uploadUrl } } } } } } }"""
COMPLETE = """mutation($i: CompleteMultipartUploadArtifactInput!) {
    completeMultipartUploadArtifact(input: $i) { digest } }"""


def begun(server, name):
    """The id of a new artifact that is being written."""
    known = {"projectName": "up", "artifactTypeName": "t", "artifactCollectionName": name, "digest": name}
    return ask(server, CREATE, i=known)["data"]["createArtifact"]["artifact"]["id"]


def places(server, artifact, *files):
    asked = {"artifactFiles": [{"artifactID": artifact, **file} for file in files], "storageLayout": "V2"}
    edges = ask(server, FILES, i=asked)["data"]["createArtifactFiles"]["files"]["edges"]
    return [edge["node"] for edge in edges]


def in_parts(server, name, *parts):
    """Announce a file that comes in those parts: the artifact, and where the parts go."""
    artifact = begun(server, name)
    announced = [{"partNumber": i, "hexMD5": hashlib.md5(part).hexdigest()} for i, part in enumerate(parts, start=1)]
    file = {"name": name, "md5": md5(b"".join(parts)), "uploadPartsInput": announced}
    place = places(server, artifact, file)[0]["uploadMultipartUrls"]
    return artifact, place["uploadID"], [part["uploadUrl"] for part in place["uploadUrlParts"]]


def committed(server, name, files):
    """The id of an artifact with those files."""
    artifact, blobs, store = begun(server, name), server.store.blobs, server.store.artifacts
    kept = {name: blobs.keep_bytes(data) for name, data in files.items()}
    listed = {"version": 1, "contents": {name: {"digest": blob.md5, "size": blob.size} for name, blob in kept.items()}}
    number = inner("Artifact", artifact)
    manifest = store.contents.expect(number, "FULL", None)
    store.contents.take_manifest(manifest.id, blobs.keep_bytes(json.dumps(listed).encode()))
    store.commit(store.by_id(number))
    return artifact


def complete(server, artifact, upload, etags, action="Complete"):
    done = [{"partNumber": number, "hexMD5": etag} for number, etag in etags.items()]
    what = {"artifactID": artifact, "uploadID": upload, "storagePath": "x", "completedParts": done}
    return ask(server, COMPLETE, i={**what, "completeMultipartAction": action})


def left(server):
    """What lies in the places where files come in."""
    return [path for place in ("coming", "parts") for path in (server.store.folder / place).rglob("*")]


def kept(server, data):
    return server.store.blobs.by_md5(md5(data)) is not None


def eventually(holds):
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_a_content_that_is_here_is_not_sent_again(small):
    """Places come in the order in which they are asked for; a file whose MD5 is known has none."""
    small.store.blobs.keep_bytes(b"known")
    files = [{"name": name, "md5": md5(data)} for name, data in (("n", b"new"), ("k", b"known"), ("m", b"more"))]

    found = places(small, begun(small, "known"), *files)

    assert [place["storagePath"] for place in found] == ["n", "k", "m"]
    assert [place["uploadUrl"] is None for place in found] == [False, True, False]


def test_a_file_that_is_not_what_was_announced_leaves_nothing(small):
    artifact = begun(small, "other")
    place = places(small, artifact, {"name": "f", "md5": md5(b"this")})[0]["uploadUrl"]

    status, _, text = put(place, b"that")

    assert status == 400 and "was announced" in text
    assert not kept(small, b"that") and left(small) == []


@pytest.mark.parametrize("length_is_said", [True, False])
def test_a_file_above_the_limit_leaves_nothing(small, length_is_said):
    """Whether the client says how long it is or goes on sending."""
    data = b"x" * (LIMIT + 1)
    place = places(small, begun(small, "large"), {"name": "f", "md5": md5(data)})[0]["uploadUrl"]

    try:
        status, _, text = put(place, data if length_is_said else (data[i : i + PIECE] for i in range(0, LIMIT, PIECE)))
    except (BrokenPipeError, ConnectionResetError):
        status, text = 413, "10000000"  # the server has hung up on what it will not take

    assert (status, "10000000" in text) == (413, True)
    assert eventually(lambda: left(small) == []) and not kept(small, data)


def test_a_torn_upload_leaves_nothing(small):
    """The client goes away in the middle."""
    place = urlsplit(places(small, begun(small, "torn"), {"name": "f", "md5": md5(b"y")})[0]["uploadUrl"])
    with socket.create_connection((place.hostname, place.port)) as line:
        line.sendall(f"PUT {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: 5000000\r\n\r\n".encode())
        line.sendall(b"y" * 3_000_000)
        assert eventually(lambda: len(left(small)) == 1)

    assert eventually(lambda: left(small) == [])


def test_parts_become_one_file(small):
    """In whatever order they come, one of them twice; the answer that gets lost is given again."""
    parts = [b"a" * 70_000, b"b" * 80_000, b"c" * 3]
    artifact, upload, addresses = in_parts(small, "parts", *parts)

    etags = {i + 1: put(addresses[i], parts[i])[1]["etag"] for i in (2, 0, 1, 0)}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: complete(small, artifact, upload, etags), range(4)))
    again = complete(small, artifact, upload, etags)

    digest = {"data": {"completeMultipartUploadArtifact": {"digest": md5(b"".join(parts))}}}
    assert answers == [digest] * 4 and again == digest
    assert kept(small, b"".join(parts)) and left(small) == []


def test_a_part_that_is_missing_or_wrong_is_told(small):
    """Nothing is put together, and what is there waits for the rest."""
    parts = [b"d" * 1000, b"e" * 1000]
    artifact, upload, addresses = in_parts(small, "missing", *parts)

    wrong = put(addresses[1], b"something else")
    first = put(addresses[0], parts[0])[1]["etag"]
    early = complete(small, artifact, upload, {1: first, 2: f'"{hashlib.md5(parts[1]).hexdigest()}"'})
    second = put(addresses[1], parts[1])[1]["etag"]
    late = complete(small, artifact, upload, {1: first, 2: second})

    assert wrong[0] == 400
    assert "part 2 has not arrived" in early["errors"][0]["message"]
    assert late["data"]["completeMultipartUploadArtifact"]["digest"] == md5(b"".join(parts))


def test_parts_are_limited_together(small):
    parts = [b"f" * (LIMIT // 2), b"g" * (LIMIT // 2 + 1)]
    artifact, upload, addresses = in_parts(small, "much", *parts)

    assert put(addresses[0], parts[0])[0] == 200
    assert put(addresses[1], parts[1])[0] == 413
    complete(small, artifact, upload, {}, action="Abort")


def test_an_aborted_upload_goes_away(small):
    artifact, upload, addresses = in_parts(small, "aborted", b"h" * 1000, b"i")
    put(addresses[0], b"h" * 1000)

    complete(small, artifact, upload, {}, action="Abort")

    assert left(small) == []
    assert put(addresses[1], b"i")[0] == 404


def test_an_abandoned_upload_goes_away_with_time(small):
    """Parts of which nobody has asked for days make room when the next upload begins."""
    in_parts(small, "left", b"j" * 1000)
    assert left(small) != []

    small.store.artifacts.parts.clean(older_than=-1)

    assert left(small) == []


def test_a_full_disk_is_told_as_one(small, monkeypatch):
    """The client sends the file again later: that is what it does at a status of the server's own faults."""
    place = places(small, begun(small, "full"), {"name": "f", "md5": md5(b"l")})[0]["uploadUrl"]

    def full(self, piece):
        raise StoreFull("no room")

    with monkeypatch.context() as changed:
        changed.setattr(Incoming, "write", full)
        assert put(place, b"l")[0] == 507
    assert left(small) == []
    assert put(place, b"l")[0] == 200


def test_files_are_found_by_what_a_manifest_lists(small):
    """In the order of the question; what the artifact has not is left out."""
    data = [f"{i}".encode() for i in range(3)]
    artifact = committed(small, "entries", {f"f{i}": data[i] for i in range(3)})
    text = """query($i: ID!, $e: [ArtifactManifestEntryInput!]) { artifact(id: $i) {
        filesByManifestEntries(entries: $e, storageLayout: "V2", manifestVersion: "1") {
            pageInfo { hasNextPage } edges { node { name directUrl } } } } }"""

    asked = [{"name": name, "digest": "x"} for name in ("f2", "g", "f0")]
    edges = ask(small, text, i=artifact, e=asked)["data"]["artifact"]["filesByManifestEntries"]["edges"]

    assert [edge["node"]["name"] for edge in edges] == ["f2", "f0"]
    assert urllib.request.urlopen(edges[0]["node"]["directUrl"], timeout=30).read() == b"2"


def test_a_file_is_got_by_its_md5_from_where_it_is(small):
    """Only through a collection that has it."""
    committed(small, "here", {"f": b"secret"})
    committed(small, "there", {"f": b"other"})
    digest = hashlib.md5(b"secret").hexdigest()

    def got(collection):
        url = f"{small.url}/artifactsV2/default/local/up/{collection}/birth/{digest}/f"
        return urllib.request.urlopen(url, timeout=30).read()

    assert got("here") == b"secret"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        got("there")


def test_pieces_of_a_file_are_read_side_by_side(small):
    """Range requests, as the client makes for big files."""
    data = bytes(range(256)) * 20_000
    artifact = committed(small, "ranges", {"f": data})
    text = "query($i: ID!) { artifact(id: $i) { files { edges { node { directUrl } } } } }"
    url = ask(small, text, i=artifact)["data"]["artifact"]["files"]["edges"][0]["node"]["directUrl"]

    def piece(start):
        asked = urllib.request.Request(url, headers={"Range": f"bytes={start}-{start + 999_999}"})
        answer = urllib.request.urlopen(asked, timeout=30)
        return answer.status, answer.read()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(piece, range(0, len(data), 1_000_000)))

    assert {status for status, _ in answers} == {206}
    assert b"".join(read for _, read in answers) == data
