"""How large a request may be, compressed or not, and what is done with half of one."""

import gzip

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from fulgurite.track.server.bodies import LIMITS, Bodies

LIMIT = {"/upload/": 2000, "/graphql": 1000}


async def echo(scope, receive, send):
    request = Request(scope, receive)
    size = 0
    async for piece in request.stream():
        size += len(piece)
    await JSONResponse({"size": size, "encoding": request.headers.get("content-encoding")})(scope, receive, send)


@pytest.fixture
def client():
    return TestClient(Bodies(echo, LIMIT))


def test_what_fits_goes_through(client):
    assert client.post("/graphql", content=b"x" * 1000).json()["size"] == 1000


def test_what_is_too_large_is_refused(client):
    """With its length told before or not."""
    assert client.post("/graphql", content=b"x" * 1001).status_code == 413
    assert client.post("/graphql", content=iter([b"x" * 600, b"x" * 600])).status_code == 413


def test_a_small_gzip_cannot_become_large(client):
    """A megabyte of zeros is a kilobyte when it arrives; it is not unpacked beyond the limit."""
    packed = gzip.compress(b"0" * 1_000_000)
    assert len(packed) < 1100

    answer = client.post("/graphql", content=packed[:1000], headers={"content-encoding": "gzip"})

    assert answer.status_code == 413


def test_a_gzip_arrives_unpacked(client):
    answer = client.post("/graphql", content=gzip.compress(b"x" * 500), headers={"content-encoding": "gzip"})

    assert answer.json() == {"size": 500, "encoding": None}


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"x" * 500)[:-9], gzip.compress(b"x") + b"more"])
def test_what_is_no_gzip_is_refused(client, content):
    assert client.post("/graphql", content=content, headers={"content-encoding": "gzip"}).status_code == 400


def test_every_place_has_a_limit(client):
    """What nobody thought of may have a mebibyte; the protocol's places are known."""
    assert client.post("/elsewhere", content=b"x" * ((1 << 20) + 1)).status_code == 413
    assert set(LIMITS) == {"/upload/", "/files/", "/graphql"}
