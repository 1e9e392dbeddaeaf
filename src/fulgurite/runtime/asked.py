"""What the first questions to some of the Trainer's arguments rely on."""

import os
from collections.abc import Mapping
from typing import Any, Literal

from fulgurite.base.arguments import fitting
from fulgurite.core.strategy import Strategy
from fulgurite.runtime.devices import Accelerator

ASKED: Mapping[str, Any] = {
    "accelerator": str | Accelerator, "strategy": str | Strategy, "barebones": bool, "benchmark": bool | None,
    "deterministic": bool | Literal["warn"] | None, "default_root_dir": str | os.PathLike[str] | None,
}  # fmt: skip
MOST = 2**63 - 1  # of anything that is counted


def check_kinds(given: Mapping[str, Any]) -> None:
    """Raise ``WrongKind`` for what can't be asked in the first place, such as a path that is none."""
    for name, kind in ASKED.items():
        fitting(given[name], kind, f"{name}={{}}")


def listed(wanted: Any, kind: type) -> list[Any]:
    """``wanted`` as a list, be it one of that kind or several."""
    try:
        return [wanted] if isinstance(wanted, kind | str) else list(wanted)
    except TypeError:  # neither one of them nor a list: whoever looks at it says so
        return [wanted]
