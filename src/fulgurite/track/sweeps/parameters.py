"""Reads one entry of ``parameters`` as the distribution that it describes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fulgurite.track.sweeps.distributions import (
    Beta,
    Categorical,
    Constant,
    Curve,
    Distribution,
    Linear,
    Logarithmic,
    LogNormal,
    Normal,
    Real,
    Stepped,
    Whole,
)
from fulgurite.track.sweeps.errors import SweepError

KNOWN = {"distribution", "value", "values", "probabilities", "min", "max", "mu", "sigma", "q", "a", "b"}


def distribution(name: str, said: Mapping[str, Any], warnings: list[str]) -> Distribution:
    """The distribution that the entry ``name`` describes. Raises ``SweepError``, which names the key."""
    kind = said.get("distribution") or _inferred(name, said, warnings)
    make = KINDS.get(kind)
    if make is None:
        raise SweepError(f"{name}.distribution is {kind!r}; known are: {', '.join(sorted(KINDS))}.")
    uses, read = make
    for key in sorted(said.keys() - KNOWN):
        warnings.append(f"{name}.{key} is not known and has no effect.")
    for key in sorted((said.keys() & KNOWN) - uses - {"distribution"}):
        warnings.append(f"{name}.{key} has no effect on the distribution {kind}.")
    return read(_Entry(name, kind, said, warnings))


def _inferred(name: str, said: Mapping[str, Any], warnings: list[str]) -> str:
    """The distribution that is meant where none is named."""
    if "values" in said:
        return "categorical"
    if "value" in said:
        return "constant"
    if "min" in said and "max" in said:
        whole = [isinstance(said[end], int) for end in ("min", "max")]
        if any(whole) and not all(whole):
            warnings.append(
                f"{name} has one end that is a whole number and one that isn't; it was read as uniform. "
                f"Set {name}.distribution to say so."
            )
        return "int_uniform" if all(whole) else "uniform"
    raise SweepError(
        f"{name} says {sorted(said) or 'nothing'}, from which no distribution follows. Give it value, values, min and "
        "max, or distribution."
    )


class _Entry:
    """One parameter's keys, each checked as it is read."""

    def __init__(self, name: str, kind: str, said: Mapping[str, Any], warnings: list[str]) -> None:
        self.name, self.kind, self.said, self.warnings = name, kind, said, warnings

    def number(self, key: str, default: float | None = None) -> float:
        value = self.said.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            given = f"is {value!r}" if key in self.said else "is missing"
            raise SweepError(f"{self.name}.{key} {given}; {self.kind} needs a number there.{_hint(value)}")
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        value = self.number(key, default)
        if value <= 0:
            raise SweepError(f"{self.name}.{key} is {value!r}; {self.kind} needs a number above 0 there.")
        return value

    def ends(self, read: Callable[[str], float] | None = None) -> tuple[float, float]:
        low, high = (read or self.number)("min"), (read or self.number)("max")
        if low > high:
            raise SweepError(f"{self.name}.min is {low!r}, which is above {self.name}.max, {high!r}.")
        return low, high


def _hint(value: Any) -> str:
    """YAML reads 1e-3 as a text, since its numbers have a dot."""
    try:
        return f" Write {float(value)!r}." if isinstance(value, str) else ""
    except ValueError:
        return ""


def _constant(entry: _Entry) -> Distribution:
    if "value" not in entry.said:
        raise SweepError(f"{entry.name}.value is missing; constant needs it.")
    return Constant(entry.said["value"])


def _categorical(entry: _Entry) -> Distribution:
    values = entry.said.get("values")
    if not isinstance(values, list) or not values:
        raise SweepError(f"{entry.name}.values is {values!r}; categorical needs a list of at least one value.")
    weights = entry.said.get("probabilities")
    if weights is None:
        return Categorical(_distinct(entry, values))
    if not isinstance(weights, list) or len(weights) != len(values):
        raise SweepError(
            f"{entry.name}.probabilities is {weights!r}; it needs one number for each of the {len(values)} values."
        )
    _check_probabilities(entry, weights)
    return Categorical(values, weights)


def _check_probabilities(entry: _Entry, weights: Sequence[Any]) -> None:
    wrong = [each for each in weights if not isinstance(each, int | float) or isinstance(each, bool) or not each >= 0]
    if wrong:
        raise SweepError(f"{entry.name}.probabilities holds {wrong[0]!r}; each must be a number of at least 0.")
    total = sum(weights)
    if not 0.999 < total < 1.001:
        raise SweepError(f"{entry.name}.probabilities add up to {total:g}; they must add up to 1.")


def _distinct(entry: _Entry, values: Sequence[Any]) -> list[Any]:
    """The values, each once: a grid shall not try anything twice."""
    once = {(type(value).__name__, repr(value)): value for value in values}
    if len(once) < len(values):
        entry.warnings.append(f"{entry.name}.values names a value more than once; it counts once.")
    return list(once.values())


def _whole(entry: _Entry) -> Distribution:
    low, high = entry.ends()
    if low != int(low) or high != int(high):
        raise SweepError(
            f"{entry.name} goes from {low!r} to {high!r}; int_uniform needs whole numbers. "
            "Use the distribution uniform for others."
        )
    return Whole(int(low), int(high))


def _uniform(entry: _Entry) -> Curve:
    return Linear(*entry.ends())


def _log_uniform(entry: _Entry) -> Curve:
    low, high = entry.ends()
    _check_exponents(entry, low, high)
    return Logarithmic(low, high)


def _inv_log_uniform(entry: _Entry) -> Curve:
    low, high = entry.ends()
    _check_exponents(entry, low, high)
    return Logarithmic(-high, -low)


def _check_exponents(entry: _Entry, low: float, high: float) -> None:
    if max(abs(low), abs(high)) > 700:
        raise SweepError(
            f"{entry.name} goes from {low:g} to {high:g}, but min and max of {entry.kind} are exponents of e. "
            f"Use {entry.kind}_values to give the values themselves."
        )
    if entry.kind in ("log_uniform", "q_log_uniform") and low > 0 and high > 20:
        entry.warnings.append(
            f"{entry.name}.max is {high:g}, which {entry.kind} takes as an exponent: values go up to "
            f"{math.exp(high):.3g}. If you mean the values themselves, use {entry.kind}_values."
        )


def _log_uniform_values(entry: _Entry) -> Curve:
    low, high = entry.ends(entry.positive)
    return Logarithmic(math.log(low), math.log(high), (low, high))


def _normal(entry: _Entry) -> Curve:
    return Normal(entry.number("mu", 0.0), entry.positive("sigma", 1.0))


def _log_normal(entry: _Entry) -> Curve:
    return LogNormal(entry.number("mu", 0.0), entry.positive("sigma", 1.0))


def _beta(entry: _Entry) -> Curve:
    return Beta(entry.positive("a", 1.0), entry.positive("b", 1.0))


def _real(curve: Callable[[_Entry], Curve]) -> Callable[[_Entry], Distribution]:
    return lambda entry: Real(curve(entry))


def _stepped(curve: Callable[[_Entry], Curve]) -> Callable[[_Entry], Distribution]:
    def read(entry: _Entry) -> Distribution:
        stepped = Stepped(curve(entry), entry.positive("q", 1))
        first, last = stepped.ends()
        if first > last:
            raise SweepError(
                f"{entry.name}.q is {stepped.step!r}, of which no multiple lies between {stepped.curve.low:g} and "
                f"{stepped.curve.high:g}. Give a smaller q."
            )
        return stepped

    return read


ENDS, BELL, SHAPES = {"min", "max"}, {"mu", "sigma"}, {"a", "b"}
CURVES: dict[str, tuple[set[str], Callable[[_Entry], Curve]]] = {
    "uniform": (ENDS, _uniform),
    "log_uniform": (ENDS, _log_uniform),
    "log_uniform_values": (ENDS, _log_uniform_values),
    "inv_log_uniform": (ENDS, _inv_log_uniform),
    # 1/X is spread evenly over the logarithms exactly where X is.
    "inv_log_uniform_values": (ENDS, _log_uniform_values),
    "normal": (BELL, _normal),
    "log_normal": (BELL, _log_normal),
    "beta": (SHAPES, _beta),
}
# What W&B calls each distribution, the keys that it uses, and how they are read.
KINDS: dict[str, tuple[set[str], Callable[[_Entry], Distribution]]] = {
    "constant": ({"value"}, _constant),
    "categorical": ({"values", "probabilities"}, _categorical),
    "categorical_w_probabilities": ({"values", "probabilities"}, _categorical),
    "int_uniform": (ENDS, _whole),
    **{name: (keys, _real(curve)) for name, (keys, curve) in CURVES.items()},
    **{
        f"q_{name}": (keys | {"q"}, _stepped(curve))
        for name, (keys, curve) in CURVES.items()
        if not name.startswith("inv_")
    },
}
