"""The model file: one checkpoint of plain data with a mark, so that no other file is taken for one."""

import os
from collections.abc import Mapping
from typing import Any

from fulgurite.base.errors import CheckpointError
from fulgurite.base.format import read, write

MARK = "fulgurite_anomaly"
FORMAT = 3
"""1 had no ranking in it, 2 compared windows with the logarithms of their tails: what reads no further than these would
score otherwise. Both are read, and score as they did."""


def write_marked(state: Mapping[str, Any], path: str | os.PathLike[str], what: str) -> None:
    """Write ``state`` as a file of the kind ``what``, such as "model"; whole, or not at all."""
    write({MARK: {"what": what, "format": FORMAT}, **state}, path)


def read_marked(path: str | os.PathLike[str], what: str) -> dict[str, Any]:
    """The state in a file of the kind ``what``; nothing in the file is run.

    Raises ``FileNotFoundError``, and ``CheckpointError`` for any other kind of file.
    """
    state = read(path, map_location="cpu")
    mark = state.pop(MARK, None) if isinstance(state, dict) else None
    if not isinstance(mark, dict) or mark.get("what") != what:
        raise CheckpointError(f"{os.fspath(path)!r} is no anomaly {what}, but {_kind(state, mark)}. {_WAY[what]}")
    if mark["format"] > FORMAT:
        raise CheckpointError(
            f"{os.fspath(path)!r} is of format {mark['format']}, newer than the {FORMAT} known here. Update fulgurite."
        )
    return state


_WAY = {
    "model": "Expected a file that `fulgurite anomaly fit` or AnomalyDetector.save has written.",
    "state": "Expected a file that `fulgurite anomaly score --follow` has written; `--state` names another.",
}


def _kind(state: Any, mark: Any) -> str:
    if isinstance(mark, dict):
        return f"an anomaly {mark.get('what')}"
    if isinstance(state, dict) and "state_dict" in state:
        return "a checkpoint of a Trainer"
    return "something else"
