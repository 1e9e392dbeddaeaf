"""What an address of the API takes and tells, declared beside its handler; `openapi` is made of these declarations.

A new route needs one of them, above the function that answers it:

    @tells({"alerts": list[AlertShape]}, query={"level": "only those of this level", "first": whole("how many", 200)})
    def alerts(self, request: Request) -> Response:
        \"\"\"What the runs of the project wanted to be seen, the newest first.\"\"\"

The first line of the docstring becomes the title, the rest the text. ``answer`` is a TypedDict, or a dict of types;
its shapes are described by their own docstrings. A test fails as long as a route has no declaration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

Handler = TypeVar("Handler", bound=Callable[..., Any])
JSON = "application/json"


@dataclass(frozen=True)
class Parameter:
    """A parameter in the query; ``kind`` is its type, list[str] where it may be repeated."""

    about: str
    kind: Any = str
    default: Any = None
    needed: bool = False


@dataclass(frozen=True)
class Told:
    """The declaration of a handler. ``body`` has the fields of the JSON object that is sent to it."""

    answer: Any
    query: Mapping[str, Parameter] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    media: str = JSON


def tells(
    answer: Any,
    query: Mapping[str, Parameter | str] | None = None,
    body: Mapping[str, Any] | None = None,
    status: int = 200,
    media: str = JSON,
) -> Callable[[Handler], Handler]:
    """Declare what a handler answers; of ``query``, a bare text is a parameter that is a text."""
    named = {name: Parameter(each) if isinstance(each, str) else each for name, each in (query or {}).items()}

    def declare(handler: Handler) -> Handler:
        setattr(handler, "told", Told(answer, named, body or {}, status, media))  # noqa: B010
        return handler

    return declare


def needed(about: str, kind: Any = str) -> Parameter:
    """A parameter that must be there."""
    return Parameter(about, kind, needed=True)


def many(about: str) -> Parameter:
    """A parameter that may be repeated."""
    return Parameter(about, list[str])


def whole(about: str, default: int | None = None) -> Parameter:
    """A whole number."""
    return Parameter(about, int, default)


def flag(about: str) -> Parameter:
    """1 for yes."""
    return Parameter(about, bool, False)
