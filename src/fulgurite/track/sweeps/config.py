"""Reads a sweep's configuration, and says by key what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from fulgurite.base.optional import available
from fulgurite.track.sweeps.errors import SweepError
from fulgurite.track.sweeps.hyperband import Hyperband
from fulgurite.track.sweeps.space import Space, space

GRID, RANDOM, BAYES, CUSTOM = "grid", "random", "bayes", "custom"
METHODS = (GRID, RANDOM, BAYES, CUSTOM)
MINIMIZE, MAXIMIZE = "minimize", "maximize"
KNOWN = {
    "program", "entity", "project", "description", "name", "method", "metric", "parameters", "early_terminate",
    "command", "run_cap", "seed", "controller", "scheduler", "settings", "job", "image_uri", "apiVersion",
}  # fmt: skip


@dataclass(frozen=True)
class Metric:
    """What a sweep wants small or large."""

    name: str
    goal: str = MINIMIZE
    target: float | None = None

    def better(self, one: float, other: float) -> bool:
        return one < other if self.goal == MINIMIZE else one > other

    def best(self, values: list[float]) -> float:
        return min(values) if self.goal == MINIMIZE else max(values)


@dataclass(frozen=True)
class SweepConfig:
    """A sweep's configuration, checked. ``warnings`` say what in it has no effect, or not the one that was meant."""

    method: str
    space: Space | None
    metric: Metric | None = None
    hyperband: Hyperband | None = None
    run_cap: int | None = None
    seed: int | None = None
    program: str | None = None
    name: str | None = None
    description: str | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def chooses(self) -> bool:
        """Whether the runs' parameters are chosen here, not by a controller of the user's."""
        return self.method != CUSTOM

    def expected(self) -> int | None:
        """How many runs the sweep will have; None where nothing ends it."""
        if self.method != GRID or self.space is None:
            return self.run_cap
        size = self.space.size()
        return size if self.run_cap is None else min(size, self.run_cap)


def plain(text: str) -> dict[str, Any]:
    """The configuration as it was written. Raises ``SweepError`` where it is no YAML mapping."""
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SweepError(f"The sweep's configuration is no YAML: {error}") from error
    if not isinstance(said, dict):
        raise SweepError(f"The sweep's configuration is {said!r}; it must be a mapping with method and parameters.")
    return said


def read(text: str) -> SweepConfig:
    """The configuration in a YAML text. Raises ``SweepError``, which names the key."""
    said = plain(text)
    warnings = [f"{key} is not known and has no effect." for key in sorted(map(str, said.keys() - KNOWN))]
    method = _method(said)
    config = SweepConfig(
        method=method,
        space=_space(said, method, warnings),
        metric=_metric(said, warnings),
        hyperband=_hyperband(said, warnings),
        run_cap=_whole(said, "run_cap", 1),
        seed=_whole(said, "seed"),
        program=_text(said, "program"),
        name=_text(said, "name"),
        description=_text(said, "description"),
        warnings=warnings,
    )
    _check_together(config, said)
    return config


def _method(said: Mapping[str, Any]) -> str:
    """Who chooses: one of the methods, or a controller or scheduler of the user's."""
    method = said.get("method")
    controller, scheduler = (said.get(key) for key in ("controller", "scheduler"))
    if isinstance(controller, Mapping) and controller.get("type") == "local":
        return CUSTOM
    if isinstance(scheduler, Mapping) and scheduler.get("engine"):
        return CUSTOM
    if method not in METHODS:
        given = "is missing" if method is None else f"is {method!r}"
        raise SweepError(f"method {given}; it must be one of {', '.join(METHODS)}.")
    return str(method)


def _space(said: Mapping[str, Any], method: str, warnings: list[str]) -> Space | None:
    if "parameters" in said:
        return space(said["parameters"], warnings)
    if method == CUSTOM:
        return None
    raise SweepError("parameters is missing; it must hold the parameters by name.")


def _metric(said: Mapping[str, Any], warnings: list[str]) -> Metric | None:
    metric = said.get("metric")
    if metric is None:
        return None
    if not isinstance(metric, Mapping) or not isinstance(metric.get("name"), str):
        raise SweepError(f"metric is {metric!r}; it needs a name, and a goal: minimize or maximize.")
    for key in sorted(metric.keys() - {"name", "goal", "target"}):
        warnings.append(f"metric.{key} is not known and has no effect.")
    goal = metric.get("goal", MINIMIZE)
    if goal not in (MINIMIZE, MAXIMIZE):
        raise SweepError(f"metric.goal is {goal!r}; it must be minimize or maximize.")
    if "goal" not in metric:
        warnings.append(f"metric.goal is missing; {metric['name']} is minimized.")
    return Metric(metric["name"], goal, _number(metric, "metric", "target"))


def _hyperband(said: Mapping[str, Any], warnings: list[str]) -> Hyperband | None:
    early = said.get("early_terminate")
    if early is None:
        return None
    if not isinstance(early, Mapping) or early.get("type") != "hyperband":
        raise SweepError(f"early_terminate is {early!r}; its type must be hyperband.")
    for key in sorted(early.keys() - {"type", "min_iter", "max_iter", "s", "eta", "strict"}):
        warnings.append(f"early_terminate.{key} is not known and has no effect.")
    first, last = (_whole(early, key, 1, "early_terminate.") for key in ("min_iter", "max_iter"))
    halvings = _whole(early, "s", 1, "early_terminate.")
    eta = _number(early, "early_terminate", "eta") or 3.0
    if eta <= 1:
        raise SweepError(f"early_terminate.eta is {eta:g}; it must be above 1.")
    if first is not None and last is not None:
        raise SweepError("early_terminate has both min_iter and max_iter; give one of them.")
    if first is None and (last is None or halvings is None):
        raise SweepError("early_terminate needs min_iter, or max_iter and s.")
    if first is not None and halvings is not None:
        warnings.append("early_terminate.s has no effect beside min_iter.")
    return Hyperband(eta, first, last, halvings or 0, bool(early.get("strict", False)))


def _check_together(config: SweepConfig, said: Mapping[str, Any]) -> None:
    """What only two keys together can get wrong."""
    if config.method == GRID:
        config.expected()
    if config.method == BAYES and config.metric is None:
        raise SweepError("metric is missing; method: bayes needs the name of what it shall minimize or maximize.")
    if config.hyperband is not None and config.metric is None:
        raise SweepError("metric is missing; early_terminate needs the name of what it compares.")
    command = said.get("command")
    if command is not None and not isinstance(command, list):
        config.warnings.append(f"command is {command!r}; it must be a list, and the agent passes over it.")


def check_installed(config: SweepConfig) -> None:
    """Raise ``SweepError``, which names the extra, if the method needs a package that is not here."""
    for module in ("optuna", "scipy") if config.method == BAYES else ():
        if not available(module):
            raise SweepError(
                f"method: bayes needs {module!r} on the machine of the server. Install it with: "
                'pip install "fulgurite[sweeps]"'
            )


def _number(said: Mapping[str, Any], above: str, key: str) -> float | None:
    value = said.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SweepError(f"{above}.{key} is {value!r}; it must be a number.")
    return float(value)


def _whole(said: Mapping[str, Any], key: str, least: int | None = None, above: str = "") -> int | None:
    value = said.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        limit = "" if least is None else f" of at least {least}"
        raise SweepError(f"{above}{key} is {value!r}; it must be a whole number{limit}.")
    return value


def _text(said: Mapping[str, Any], key: str) -> str | None:
    value = said.get(key)
    return None if value is None else str(value)
