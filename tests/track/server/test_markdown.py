"""A Markdown file as a page: it reads as it was meant, and whatever is in it only stands there."""

import mimetypes
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.track.server.api.markdown import LARGEST, rendered

ADDRESS = "/api/projects/local/p/runs/abc/files/content"


TAGS = set(
    "p a em strong s code pre h1 h2 h3 h4 h5 h6 ul ol li hr br blockquote img table thead tbody tr th td".split()
)
ATTRIBUTES = {"href", "target", "rel", "src", "alt", "title", "class", "start"}


class Harmless(HTMLParser):
    """Fails for a tag or an attribute that Markdown doesn't make, and for an address that runs or holds a page."""

    def handle_starttag(self, tag, attributes):
        assert tag in TAGS, tag
        for name, value in attributes:
            assert name in ATTRIBUTES or (name == "style" and re.fullmatch(r"text-align:\w+", value)), name
            if name in ("href", "src"):
                assert not re.match(r"\W*(javascript|vbscript|data:text|file)", value, re.IGNORECASE), value


def assert_harmless(body):
    parser = Harmless()
    parser.feed(body)
    parser.close()


def test_the_check_can_fail():
    for bad in ("<script>", "<p onclick=a>", "<a href=' JavaScript:x'>", "<p style='position:fixed'>"):
        with pytest.raises(AssertionError):
            assert_harmless(bad)


@pytest.fixture
def page(client, store, run):
    def asked(text, name="notes.md"):
        store.blobs.put(run.id, name, store.blobs.keep_bytes(text if isinstance(text, bytes) else text.encode()))
        return client.get(ADDRESS, params={"name": name, "rendered": "1"})

    return asked


def test_it_is_read_as_it_was_meant(page):
    answer = page("# Model\n\n* **good**\n\n| a | b |\n|--|--|\n| 1 | ~~2~~ |\n\n```python\nx < 1\n```\n")

    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    for piece in ("<h1>Model</h1>", "<strong>good</strong>", "<td>1</td>", "<s>2</s>", "x &lt; 1"):
        assert piece in answer.text


def test_it_may_do_nothing(page):
    """No script, no origin, no network; also where it is opened by itself."""
    policy = page("x").headers["content-security-policy"]

    sandbox, rest = policy.split(";", 1)
    assert "allow-scripts" not in sandbox and "allow-same-origin" not in sandbox
    assert "default-src 'none'" in rest and "img-src data:;" in rest and "script-src" not in rest


@pytest.mark.parametrize(
    "text",
    [
        "<script>document.title='run'</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![x](javascript:alert(1))",
        '[x](http://h/"onclick="alert(1))',
        "[x][y]\n\n[y]: vbscript:alert(1)",
        "<javascript:alert(1)>",
        "`<script>`",
        "```<script>\n</code></pre><script>\n```",
        "</title></style><script>alert(1)</script>",
    ],
)
def test_nothing_in_it_runs(page, text):
    assert_harmless(page(text).text.partition("<body>")[2])


def test_a_name_stands_in_the_title_as_it_is(page):
    assert "<title>&lt;/title&gt;.md</title>" in page("x", "</title>.md").text


def test_a_link_opens_in_a_window_that_knows_nothing_of_this_one(page):
    assert (
        '<a href="https://example.org" target="_blank" rel="noopener noreferrer">' in page("<https://example.org>").text
    )


def test_it_needs_no_list_of_types(page, monkeypatch):
    """Few systems without a desktop have one that knows Markdown."""
    monkeypatch.setattr(mimetypes, "guess_type", lambda *args, **more: (None, None))
    for name in ("a.md", "B.MD", "docs/c.markdown", ".md"):
        assert "<h1>x</h1>" in page("# x", name).text


def test_a_byte_order_mark_is_no_letter(page):
    assert "<h1>x</h1>" in page("\ufeff# x").text


def test_a_place_on_the_page_opens_no_window(page):
    assert '<a href="#b">' in page("[a](#b)").text


@pytest.mark.parametrize(("name", "size", "status"), [("a.txt", 1, 400), ("a.md", LARGEST + 1, 413)])
def test_what_is_not_rendered_says_so(page, name, size, status):
    answer = page("x" * size, name)

    assert answer.status_code == status and name in answer.text


def test_letters_that_are_none_are_replaced(page):
    assert "a\ufffdb" in page(b"a\xffb").text


@given(st.text(alphabet="ab<>\"'`[]()!#*_~|-\n\\&;:/=javascript ", max_size=80))
def test_only_tags_of_our_own_come_out(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("m") / "x.md"
    path.write_text(text)

    assert_harmless(rendered(path, "x.md").body.decode().partition("<body>")[2])
