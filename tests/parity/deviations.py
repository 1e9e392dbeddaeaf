"""Where Fulgurite differs from Lightning on purpose, and how a comparison has to allow for it.

Each deviation adjusts the pair (ours, golden) so that what it allows compares as equal; everything else of the
scenario is still compared. COMPAT.md tells users the same.
"""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
Adjust = Callable[[Record, Record], tuple[Record, Record]]


@dataclass(frozen=True)
class Deviation:
    """One difference on purpose: in which scenarios, why, and what is not to be compared."""

    title: str
    scenarios: tuple[str, ...]
    reason: str
    adjust: Adjust

    def concerns(self, name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.scenarios)


def eval_rows_without_axis(ours: Record, golden: Record) -> tuple[Record, Record]:
    """Forget the step, and the epoch if there is one, of the rows that Lightning writes without an epoch."""
    evaluated = ["epoch" not in values for _, values in golden["rows"]]
    return {**ours, "rows": _blank(ours["rows"], evaluated)}, {**golden, "rows": _blank(golden["rows"], evaluated)}


def _blank(rows: list, evaluated: list[bool]) -> list:
    flags = [*evaluated, *[False] * len(rows)]
    return [
        [None, {key: value for key, value in values.items() if key != "epoch"}] if blank else [step, values]
        for (step, values), blank in zip(rows, flags, strict=False)
    ]


def other_outcome(*titles: str, raises: str) -> Adjust:
    """Allow ``raises`` in place of Lightning's exception for these misuses."""

    def adjust(ours: Record, golden: Record) -> tuple[Record, Record]:
        allowed = {title: {**golden[title], "raises": raises} for title in titles}
        return ours, {**golden, **allowed}

    return adjust


def better_named(ours: Record, golden: Record) -> tuple[Record, Record]:
    """A message of ours may name what Lightning's does not."""
    named = {
        title: {**case, "names it": case["names it"] or ours.get(title, {}).get("names it", False)}
        for title, case in golden.items()
    }
    return ours, {**golden, **named}


DEVIATIONS: list[Deviation] = [
    Deviation(
        "evaluation rows stand at the training step",
        (
            "logs-val_step_only",
            "logs-val_forked*",
            "logs-several_val_loaders",
            "logs-metric_*_in_val",
            "logs-validate_*",
        ),
        "Lightning counts evaluation batches from 0 for each loader, so that W&B's axis jumps backwards.",
        eval_rows_without_axis,
    ),
    Deviation(
        "messages that say more",
        ("errors-*",),
        "Our messages name what was wrong also where Lightning's do not.",
        better_named,
    ),
]
