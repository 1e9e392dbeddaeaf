"""What ``define_metric`` said, in the numbered form in which the client sends it when it is online."""

from collections.abc import Iterator
from typing import Any

from fulgurite.track.wire.offline.records import MetricDefinition

SUMMARIES = {"min": 1, "max": 2, "mean": 3, "best": 4, "last": 5, "none": 6, "copy": 7, "first": 8}


def put(definition: MetricDefinition, known: list[dict[str, Any]]) -> None:
    """Put a definition into the list of those that are known; one of the same metric is replaced."""
    place = next((i for i, each in enumerate(known) if _is_of(each, definition)), len(known))
    known[place : place + 1] = [dict(_numbered(definition, known))]


def _is_of(known: dict[str, Any], definition: MetricDefinition) -> bool:
    return (known.get("1", ""), known.get("2", "")) == (definition.name, definition.glob)


def _numbered(definition: MetricDefinition, known: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    if definition.name:
        yield "1", definition.name
    if definition.glob:
        yield "2", definition.glob
    step = next((i for i, each in enumerate(known, start=1) if each.get("1") == definition.step_metric), None)
    if definition.step_metric and step is not None:
        yield "5", step
    elif definition.step_metric:
        yield "4", definition.step_metric
    chosen = {1: definition.step_sync, 2: definition.hidden, 3: definition.defined}
    if options := [number for number, is_set in chosen.items() if is_set]:
        yield "6", options
    if definition.summaries:
        yield "7", [SUMMARIES[name] for name in definition.summaries]
