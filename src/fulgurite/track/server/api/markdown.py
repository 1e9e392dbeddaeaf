"""A Markdown file as a page to be read: it may come from anybody, so nothing in it runs and nothing is fetched."""

import threading
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.responses import HTMLResponse, Response

from fulgurite.track.server.api.asked import BadRequest
from fulgurite.track.wire.bodies import TooLarge

ENDINGS = (".md", ".markdown")
LARGEST = 1 << 16
"""Bytes of a file that is rendered; larger ones are to be had as text. The worst of this size take 4 s."""
_rendering = threading.Lock()  # one at a time: a few of the worst would leave nothing for other requests
# No scripts, no network, no forms. A link opens in a window of its own, which knows nothing of this one.
POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
STYLE = """
:root { color-scheme: light dark; font: 15px/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
body { max-width: 52rem; margin: 0 auto; padding: 1rem 1.25rem; overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.3; margin: 1.2em 0 .4em; }
h1:first-child { margin-top: 0; }
pre, code { font: .87rem/1.45 ui-monospace, Menlo, Consolas, "Noto Sans Mono", monospace; }
pre { padding: .7rem; overflow: auto; border: 1px solid color-mix(in srgb, CanvasText 20%, Canvas); }
blockquote { margin-left: 0; padding-left: .9rem; border-left: 3px solid color-mix(in srgb, CanvasText 30%, Canvas); }
table { border-collapse: collapse; display: block; overflow: auto; }
th, td { padding: .25rem .6rem; border: 1px solid color-mix(in srgb, CanvasText 20%, Canvas); }
img { max-width: 100%; }
"""


def rendered(path: Path, name: str) -> Response:
    """The page that the file at ``path`` describes, in CommonMark with tables and struck-out text.

    HTML in it is shown as it was written. Raises ``BadRequest`` where it is not Markdown by its name, and ``TooLarge``.
    """
    if not name.lower().endswith(ENDINGS):
        raise BadRequest(f"{name!r} is no Markdown file: names that end with .md or .markdown can be rendered.")
    size = path.stat().st_size
    if size > LARGEST:
        raise TooLarge(f"{name!r} has {size:,} bytes; up to {LARGEST:,} are rendered. Read it as text.")
    with _rendering:
        body = _parser().render(path.read_text("utf-8-sig", "replace"))
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{escape(name)}</title><style>{STYLE}</style><body>{body}"
    )
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "private, no-cache"}
    return HTMLResponse(page, headers=headers)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("js-default", {"html": False})
    parser.add_render_rule("link_open", _link_open)
    return parser


def _link_open(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    if not str(tokens[index].attrGet("href")).startswith("#"):
        tokens[index].attrSet("target", "_blank")
        tokens[index].attrSet("rel", "noopener noreferrer")
    return str(renderer.renderToken(tokens, index, options, env))
