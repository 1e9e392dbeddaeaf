"""How a content that a user put here is handed out: it may be looked at, but it can't act in our name.

A page or a drawing (HTML, SVG) may hold scripts. They run in an origin of their own, without our cookies and without a
way out to the network; scripts and styles come as plain text, so that no page of ours could ever load them as its own.
"""

import mimetypes
from pathlib import Path

from starlette.responses import FileResponse

SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "style-src 'unsafe-inline' data:; img-src data: blob:; media-src data: blob:; font-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
SEEN = ("image/", "audio/", "video/", "text/", "application/json")  # what a browser may show rather than save
AS_TEXT = ("javascript", "ecmascript", "css", "xml", "yaml")


def content_response(path: Path, name: str, download: bool = False) -> FileResponse:
    """The file at ``path`` under the name that its owner gave it; ``download`` asks the browser to save it."""
    kind = media_type(name)
    return FileResponse(
        path,
        media_type=kind,
        filename=_without_surrogates(name.rsplit("/", 1)[-1]) or None,
        content_disposition_type="inline" if kind.startswith(SEEN) and not download else "attachment",
        headers={
            "Content-Security-Policy": SANDBOX,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-cache",
        },
    )


def media_type(name: str) -> str:
    """The type of a file by its name, and plain text for what a page could load as code."""
    kind = mimetypes.guess_type(f"./{name}")[0] or "application/octet-stream"
    if kind == "image/svg+xml" or not any(word in kind for word in AS_TEXT):
        return kind
    return "text/plain"


def _without_surrogates(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
