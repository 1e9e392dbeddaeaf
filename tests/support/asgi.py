"""Ask an ASGI application without a server: one request in, status and body out; its exceptions come through."""

import asyncio
from collections.abc import Mapping
from typing import Any


def ask(app: Any, method: str, path: str, body: bytes = b"", query: str = "", headers: Mapping[str, str] = {}) -> Any:
    """Return the status and the body."""
    answer: list[dict[str, Any]] = []
    received = iter([{"type": "http.request", "body": body, "more_body": False}])
    raw = path.encode("utf-8", "surrogateescape")
    given = {"host": "127.0.0.1", "content-length": str(len(body)), **headers}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": raw, "query_string": query.encode("utf-8", "replace"), "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in given.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return next(received, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    asyncio.run(app(scope, receive, send))
    status = next(message["status"] for message in answer if message["type"] == "http.response.start")
    return status, b"".join(message.get("body", b"") for message in answer)
