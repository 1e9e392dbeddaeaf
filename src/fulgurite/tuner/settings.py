"""Where a setting lives that a search shall set: on the module, among its hyperparameters, or on the datamodule."""

from collections.abc import Iterator, MutableMapping
from typing import Any

Place = tuple[Any, str]
"""Who holds the setting, and under which name."""


def places_of(name: str, *owners: Any) -> list[Place]:
    """Return every place that holds ``name``: an attribute or a hyperparameter of an owner; dots lead inside.

    ``None`` among the owners is passed over.
    """
    found: dict[tuple[int, str], Place] = {}
    for owner in owners:
        for root in (owner, getattr(owner, "hparams", None)):
            for holder, last in _follow(root, name.split(".")):
                found.setdefault((id(holder), last), (holder, last))
    return list(found.values())


def read(places: list[Place]) -> Any:
    """Return what the first place holds."""
    holder, name = places[0]
    return holder[name] if isinstance(holder, MutableMapping) else getattr(holder, name)


def write(places: list[Place], value: Any) -> None:
    """Set it in every place, so that no two of them disagree."""
    for holder, name in places:
        if isinstance(holder, MutableMapping):
            holder[name] = value
        else:
            setattr(holder, name, value)


def _follow(holder: Any, path: list[str]) -> Iterator[Place]:
    first, rest = path[0], path[1:]
    if holder is None or not (first in holder if isinstance(holder, MutableMapping) else hasattr(holder, first)):
        return
    if not rest:
        yield holder, first
    else:
        yield from _follow(read([(holder, first)]), rest)
