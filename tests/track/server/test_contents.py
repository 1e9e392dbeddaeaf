"""What users put here is handed out so that it can't act in our name."""

import pytest

from fulgurite.track.wire.contents import media_type

ADDRESS = "/api/projects/local/p/runs/abc/files/content"


@pytest.fixture
def put(store, run):
    return lambda name, data=b"<script>alert(1)</script>": store.blobs.put(run.id, name, store.blobs.keep_bytes(data))


@pytest.mark.parametrize("name", ["media/html/page.html", "drawing.svg", "x.xhtml", "page.htm"])
def test_a_page_runs_in_an_origin_of_its_own(client, put, name):
    """Without our cookies, and without a way to the network."""
    put(name)

    headers = client.get(ADDRESS, params={"name": name}).headers

    policy = headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts;") and "allow-same-origin" not in policy
    assert "default-src 'none'" in policy and "connect-src" not in policy
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["code/a.js", "b.mjs", "c.css", "d.xml", "E.JS", "f.xsl"])
def test_code_comes_as_text(client, put, name):
    """So no page of ours could be made to load it: with `nosniff` a browser runs and applies no plain text."""
    put(name)

    assert client.get(ADDRESS, params={"name": name}).headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("name", ["model.ckpt", "weights.bin", "noending", "a.exe", "doc.pdf"])
def test_what_a_browser_has_no_use_for_is_saved(client, put, name):
    put(name)

    answer = client.get(ADDRESS, params={"name": name})

    assert answer.headers["content-disposition"].startswith("attachment")


def test_an_image_is_shown_unless_it_shall_be_saved(client, put):
    put("media/a.png", b"png")

    shown = client.get(ADDRESS, params={"name": "media/a.png"})
    saved = client.get(ADDRESS, params={"name": "media/a.png", "download": "1"})

    assert shown.headers["content-type"] == "image/png"
    assert shown.headers["content-disposition"].startswith("inline")
    assert saved.headers["content-disposition"] == 'attachment; filename="a.png"'


def test_a_part_of_a_film_can_be_asked_for(client, put):
    put("film.mp4", b"0123456789")

    answer = client.get(ADDRESS, params={"name": "film.mp4"}, headers={"range": "bytes=2-4"})

    assert (answer.status_code, answer.content) == (206, b"234")


def test_no_name_is_a_script():
    """Over all types that Python knows."""
    import mimetypes

    endings = set(mimetypes.types_map) | set(mimetypes.common_types)

    kinds = {media_type(f"x{ending}") for ending in endings}

    assert not {kind for kind in kinds if "javascript" in kind or "css" in kind}
