"""How the client writes configurations, and where in them it hides what it knows about a run."""

from collections.abc import Mapping
from typing import Any

OWN = "_wandb"
UNNAMED = "uncategorized"  # the project of runs that name none
WRITERS = "e"  # in what the client keeps for itself: a block for each process that wrote the run
# Facts of a run whose console a later process goes on with: how many lines there were when it started (until it prints
# its first one), and how many to add to the numbers it gives to its own.
STARTED, BEHIND = "lines at start", "lines before its own"


def from_client(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The client's ``{"lr": {"value": 0.1}, "_wandb": …}`` as (plain configuration, what ``_wandb`` holds)."""
    plain = {name: _value(entry) for name, entry in config.items() if name != OWN}
    return plain, _value(config.get(OWN, {})) or {}


def to_client(plain: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The way back."""
    config: dict[str, Any] = {name: {"value": value} for name, value in plain.items()}
    return {**config, OWN: {"value": dict(own)}} if own else config


def _value(entry: Any) -> Any:
    return entry["value"] if isinstance(entry, dict) and "value" in entry else entry
