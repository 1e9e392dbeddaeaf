"""What a request asks, read and checked: each fault is told by the name of what is wrong."""

import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fulgurite.track.wire.bodies import whole
from fulgurite.track.wire.documents import read_json

LARGEST = 1 << 20  # bytes of an edit


class BadRequest(ValueError):
    """A request can't be understood; the message says what was given and what was expected."""


class WholeNames:
    """An ASGI application that hands addresses under /api on undecoded: a name may hold a slash, written %2F."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/api/") and scope.get("raw_path"):
            scope["path"] = scope["raw_path"].partition(b"?")[0].decode("latin-1")
        await self._app(scope, receive, send)


def name(request: Request, part: str) -> str:
    """The part of the address, decoded."""
    return unquote(request.path_params[part])


def text(request: Request, key: str) -> str:
    """A parameter that must be there."""
    value = request.query_params.get(key)
    if value is None:
        raise BadRequest(f"The parameter {key!r} is missing.")
    return value


def integer(request: Request, key: str, default: int, low: int = 0, high: int = 2**62) -> int:
    """A whole number within ``low`` and ``high``."""
    value = request.query_params.get(key)
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError:
        raise BadRequest(f"{key}={value!r} is no whole number.") from None
    if not low <= number <= high:
        raise BadRequest(f"{key}={number} is not within {low} and {high}.")
    return number


def number(request: Request, key: str) -> float | None:
    value = request.query_params.get(key)
    if value is None:
        return None
    try:
        found = float(value)
    except ValueError:
        raise BadRequest(f"{key}={value!r} is no number.") from None
    if not math.isfinite(found):
        raise BadRequest(f"{key}={value!r} is not finite. Leave it out for no limit.")
    return found


def flag(request: Request, key: str) -> bool:
    return request.query_params.get(key, "0").lower() not in ("", "0", "false")


async def fields(request: Request, allowed: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """The JSON object in the body, with fields of these types only."""
    try:
        body = read_json(await whole(request.stream(), request.headers, LARGEST))
    except ValueError:
        raise BadRequest("The body is no JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.")
    for key, value in body.items():
        if key not in allowed:
            raise BadRequest(f"There is no field {key!r} to set. There is: {', '.join(allowed)}.")
        if not isinstance(value, allowed[key]):
            raise BadRequest(f"The field {key!r} can't be {json.dumps(value)[:80]}.")
    return body


def texts(body: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts in the body."""
    values = body.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BadRequest(f"The field {key!r} must be a list of texts.")
    return values


def integers(body: Mapping[str, Any], key: str) -> list[int]:
    """A list of whole numbers in the body."""
    values = body.get(key)
    if not isinstance(values, list) or not all(type(value) is int and abs(value) < 2**63 for value in values):
        raise BadRequest(f"The field {key!r} must be a list of whole numbers.")
    return values
