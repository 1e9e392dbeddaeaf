"""Which artifacts or collections are asked for, and in what order; filters and orders are written as those of runs."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from fulgurite.track.wire.filters import MISSING, BadFilter, Reading, dug, rank

T = TypeVar("T")
# Names that clients have for the same.
SAME = {
    "versionIndex": "version", "version_index": "version", "tag": "tags", "aliases": "alias", "createdAt": "created_at",
    "updatedAt": "updated_at", "artifact_type": "type",
}  # fmt: skip


class Facts(Reading):
    """Reads filters of things that are given as dicts of facts, with the JSON text ``metadata`` among them."""

    def field(self, name: str) -> Callable[[Any], Any]:
        above, *path = name.split(".")
        above = SAME.get(above, above)

        def read(known: Mapping[str, Any]) -> Any:
            if above not in known:
                raise BadFilter(f"Artifacts have no field {name!r}. Fields are {', '.join(sorted(known))}.")
            value = json.loads(known[above] or "{}") if path else known[above]
            return MISSING if value is None else dug(value, tuple(path))

        return read


def arranged(items: Sequence[T], about: Callable[[T], Mapping[str, Any]], filters: str, order: str) -> list[T]:
    """The items whose facts (``about``) pass the filters; in the given order, or else in the one they came in.

    What has no such fact comes last in either direction. Raises ``BadFilter``.
    """
    asked = json.loads(filters or "{}")
    if not asked and not order:
        return list(items)
    reading = Facts()
    passes, key = reading.all_of(asked or {}, 0), reading.field(order.lstrip("+-"))
    chosen = [(item, known) for item in items if passes(known := about(item))]
    if not order:
        return [item for item, _ in chosen]
    ranked = [(rank(key(known)), item) for item, known in chosen]
    with_value = sorted((pair for pair in ranked if pair[0]), key=lambda pair: pair[0], reverse=order.startswith("-"))
    return [item for _, item in with_value] + [item for place, item in ranked if not place]
