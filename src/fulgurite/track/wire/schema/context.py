"""What every type needs in order to answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from fulgurite.track.store.runs import ENTITY
from fulgurite.track.store.store import Store
from fulgurite.track.wire.addresses import Addresses
from fulgurite.track.wire.exports import Exports

T = TypeVar("T")
PAGE = 50


@dataclass(frozen=True)
class Context:
    """One request: the store, who asks (``entity``, ``user``), and how to make addresses that the asker can reach.

    ``types`` are the classes of `roots.TYPES` by name: types refer to each other in circles, their modules do not.
    With ``in_parts`` the client sends files of 2 GiB and more in parts. An address to put something to is a permission
    to write, so that only who ``may_write`` is given one. Without ``exports`` all of a run's history is live.
    """

    store: Store
    addresses: Addresses
    types: Mapping[str, Callable[["Context", Any], Any]]
    entity: str = ENTITY
    user: str = ENTITY
    in_parts: bool = True
    may_write: bool = True
    exports: Exports | None = None

    def show(self, kind: str, stored: Any) -> Any:
        """What the store knows of a thing, as the type of that name."""
        return None if stored is None else self.types[kind](self, stored)


def connection(
    items: Sequence[T], show: Callable[[T], Any], first: int | None = None, after: str | None = None, **more: Any
) -> Mapping[str, Any]:
    """A page of ``items``: ``first`` of them from behind the cursor ``after`` on."""
    start = int(after) if after else 0
    stop = len(items) if first is None else start + first
    edges = [{"node": show(item), "cursor": str(start + i + 1)} for i, item in enumerate(items[start:stop])]
    page = {
        "__typename": "PageInfo",
        "startCursor": str(start),
        "endCursor": str(start + len(edges)),
        "hasNextPage": stop < len(items),
        "hasPreviousPage": start > 0,
    }
    return {"edges": edges, "pageInfo": page, "totalCount": len(items), **more}


def iso(moment: float | None) -> str | None:
    """Seconds since 1970 as the client writes times, in UTC."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
