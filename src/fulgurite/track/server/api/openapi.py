"""The description of the API as OpenAPI, made of its routes and of what is declared beside each handler."""

import inspect
import re
import types
from collections.abc import Iterable, Iterator
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api.described import JSON, Parameter, Told, tells
from fulgurite.track.server.api.shapes import answer

PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
PARTS = {
    "entity": "whom the project belongs to; `local` where the client names none",
    "project": "the project's name",
    "run": "the run's name in addresses, not the one that is shown",
    "sweep": "the sweep's id",
    "type": "the artifact's type",
    "name": "the name",
    "version": "`v3`, an alias such as `latest`, or a digest",
}
ERRORS = {
    400: "What was asked can't be understood.",
    401: "A key is needed.",
    403: "Not with this key, not by this name of the server, or not from another site's page.",
    404: "There is no such thing.",
    413: "The request is too large.",
}
ABOUT = """\
What the pages of `fulgurite ui` show. Names in an address are encoded: a slash in one is `%2F`. Times are seconds since
1970. Numbers that are not finite are the texts "NaN", "Infinity" and "-Infinity"; in the arrays of a chart they are
null.
"""


class OpenApiRoutes:
    """The address of the description of ``routes`` and of itself."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = list(routes)

    def routes(self) -> list[BaseRoute]:
        own: BaseRoute = Route("/openapi.json", self.openapi, methods=["GET"])
        self._routes.append(own)
        return [own]

    @tells(dict[str, Any])
    def openapi(self, request: Request) -> Response:
        """This description of the API, as OpenAPI 3.1."""
        return answer(description(self._routes))


def description(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI document of the routes. Raises ``TypeError`` for one that is not declared."""
    shapes = Shapes()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        assert isinstance(route, Route)
        for method in sorted(route.methods or ()):
            if method != "HEAD":
                paths.setdefault(_path(route), {})[method.lower()] = operation(route, method, shapes)
    error = shapes.of({"error": str})
    return {
        "openapi": "3.1.0",
        "info": {"title": "API of fulgurite ui", "version": "1", "description": ABOUT},
        "servers": [{"url": "/api"}],
        "security": [{}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**shapes.named, "Error": {**error, "description": "A sentence about what went wrong."}},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def operation(route: Route, method: str, shapes: "Shapes") -> dict[str, Any]:
    """One method of one address."""
    told = getattr(route.endpoint, "told", None)
    if not isinstance(told, Told):
        raise TypeError(f"{method} {route.path} is not declared: write @tells(…) above {route.endpoint.__qualname__}.")
    summary, _, text = inspect.cleandoc(route.endpoint.__doc__ or "").partition("\n")
    if not summary:
        raise TypeError(f"{method} {route.path} has no docstring; its first line is what the API says of it.")
    found: dict[str, Any] = {
        "operationId": f"{method.lower()}_{_identifier(route.path)}",
        "tags": [_topic(route.path)],
        "summary": _plain(summary).rstrip("."),
        "description": _plain(text.strip()),
        "parameters": [*_parts(route), *_query(told, shapes)],
        "responses": {str(told.status): _answer(told, shapes), **_errors()},
    }
    if told.body:
        content = {JSON: {"schema": {**shapes.of(told.body), "required": []}}}
        found["requestBody"] = {"required": True, "content": content}
    return found


class Shapes:
    """JSON schemas of types; each TypedDict becomes one of ``named``, described by its docstring."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type, or of a dict of names and types. Raises ``TypeError`` for a type that JSON has not."""
        if isinstance(kind, dict):
            return {
                "type": "object",
                "properties": {name: self.of(each) for name, each in kind.items()},
                "required": list(kind),
            }
        if is_typeddict(kind):
            return self._reference(kind)
        if kind is Any:
            return {}
        if kind in PLAIN:
            return {"type": PLAIN[kind]}
        return self._composed(kind)

    def _reference(self, kind: Any) -> dict[str, Any]:
        name = kind.__name__.removesuffix("Shape")
        if name not in self.named:
            self.named[name] = {}  # it may speak of itself
            about = _plain(inspect.cleandoc(kind.__doc__ or ""))
            self.named[name] = {**self.of(get_type_hints(kind)), **({"description": about} if about else {})}
        return {"$ref": f"#/components/schemas/{name}"}

    def _composed(self, kind: Any) -> dict[str, Any]:
        origin, inner = get_origin(kind), get_args(kind)
        if origin in (types.UnionType, Union):
            return {"anyOf": [self.of(each) for each in inner]}
        if origin is list:
            return {"type": "array", "items": self.of(inner[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(inner[1])}
        raise TypeError(f"{kind!r} is no type that JSON has a word for.")


def _answer(told: Told, shapes: Shapes) -> dict[str, Any]:
    schema = {"type": "string", "format": "binary"} if told.answer is bytes else shapes.of(told.answer)
    return {"description": "What was asked for.", "content": {told.media: {"schema": schema}}}


def _errors() -> dict[str, Any]:
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(status): {"description": why, "content": content} for status, why in ERRORS.items()}


def _parts(route: Route) -> Iterator[dict[str, Any]]:
    for name in route.param_convertors:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": PARTS[name]}


def _query(told: Told, shapes: Shapes) -> Iterator[dict[str, Any]]:
    for name, parameter in told.query.items():
        yield {
            "name": name,
            "in": "query",
            "required": parameter.needed,
            "description": parameter.about,
            "schema": _schema(parameter, shapes),
        }


def _schema(parameter: Parameter, shapes: Shapes) -> dict[str, Any]:
    known = shapes.of(parameter.kind)
    return known if parameter.default is None else {**known, "default": parameter.default}


def _path(route: Route) -> str:
    return re.sub(r":\w+}", "}", route.path)


def _identifier(path: str) -> str:
    return "_".join(re.findall(r"\w+", path))


def _topic(path: str) -> str:
    """What an address is about: its last fixed word that is no question about something else."""
    for word in ("artifacts", "sweeps", "alerts", "importance", "users"):
        if f"/{word}" in path:
            return word
    return "runs" if "/runs/{run}" in path else "projects" if "{project}" in path or path == "/projects" else "server"


def _plain(text: str) -> str:
    """A docstring as Markdown: one kind of quotes for code."""
    return text.replace("``", "`")
