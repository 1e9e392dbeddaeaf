"""Runs whose outcome is compared with Lightning's. Each scenario is ``scenario(pl, folder) -> dict``.

``SCENARIOS`` holds them by name. ``pl`` is any module that offers Lightning's public names; ``folder`` is an
empty directory of the scenario's own. A record is plain JSON.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from parity.scenarios import (
    callbacks,
    checkpoints,
    environments,
    errors,
    hooks,
    hparams,
    log_errors,
    loggers,
    logs,
    monitors,
    profilers,
    runs,
    steps,
    summary,
    tuner,
    weights,
    writers,
)

Scenario = Callable[[ModuleType, Path], dict[str, Any]]

SCENARIOS: dict[str, Scenario] = {
    f"{group.__name__.rpartition('.')[2]}-{name}": scenario
    for group in (
        hooks,
        steps,
        runs,
        logs,
        callbacks,
        loggers,
        monitors,
        checkpoints,
        environments,
        hparams,
        errors,
        log_errors,
        profilers,
        summary,
        tuner,
        weights,
        writers,
    )
    for name, scenario in group.SCENARIOS.items()
}
