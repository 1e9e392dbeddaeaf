"""What one parameter may be: drawn at random, listed for a grid, or moved along by an optimiser.

A distribution with an order maps the interval from 0 to 1 onto its values (`at`) and back (`place`), evenly in
probability; an optimiser searches that interval.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

EDGE = 1e-12  # how near to 0 and 1 a draw may come: beyond lie the infinite ends of a normal distribution


class Distribution(Protocol):
    """What every parameter can do."""

    def sample(self, rng: random.Random) -> Any:
        """A value at random."""

    def listed(self) -> list[Any] | None:
        """All values in order, or None where they can't be counted."""


class Curve(Protocol):
    """A continuous distribution of numbers. ``low`` and ``high`` are the ends, infinite where there are none."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    def at(self, share: float) -> float: ...
    def place(self, value: float) -> float: ...
    def sample(self, rng: random.Random) -> float: ...


@dataclass(frozen=True)
class Constant:
    """One value."""

    value: Any

    def sample(self, rng: random.Random) -> Any:
        return self.value

    def listed(self) -> list[Any]:
        return [self.value]


@dataclass(frozen=True)
class Categorical:
    """One of ``values``, each with its probability, or all alike."""

    values: Sequence[Any]
    probabilities: Sequence[float] | None = None

    def sample(self, rng: random.Random) -> Any:
        return rng.choices(self.values, self.probabilities)[0]

    def listed(self) -> list[Any]:
        return list(self.values)


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``, both included."""

    low: int
    high: int

    def at(self, share: float) -> int:
        return min(self.low + int(share * (self.high - self.low + 1)), self.high)

    def place(self, value: float) -> float:
        return _between((value - self.low + 0.5) / (self.high - self.low + 1))

    def sample(self, rng: random.Random) -> int:
        return rng.randint(self.low, self.high)

    def listed(self) -> list[Any]:
        return list(range(self.low, self.high + 1))


@dataclass(frozen=True)
class Real:
    """A number from a curve."""

    curve: Curve

    def at(self, share: float) -> float:
        return self.curve.at(share)

    def place(self, value: float) -> float:
        return self.curve.place(value)

    def sample(self, rng: random.Random) -> float:
        return self.curve.sample(rng)

    def listed(self) -> None:
        return None


@dataclass(frozen=True)
class Stepped:
    """A number from a curve, rounded to a multiple of ``step`` that lies within the curve's ends.

    Whole numbers where ``step`` is one.
    """

    curve: Curve
    step: float

    def at(self, share: float) -> float:
        return self._rounded(self.curve.at(share))

    def place(self, value: float) -> float:
        return self.curve.place(value)

    def sample(self, rng: random.Random) -> float:
        return self._rounded(self.curve.sample(rng))

    def listed(self) -> list[Any] | None:
        if not isinstance(self.curve, Linear):
            return None
        first, last = self.ends()
        return [self._multiple(n) for n in range(int(first), int(last) + 1)]

    def ends(self) -> tuple[float, float]:
        """The lowest and the highest multiple, counted in steps."""
        nudge = 1e-9  # 0.3 / 0.1 is 2.9999999999999996
        low = self.curve.low / self.step
        high = self.curve.high / self.step
        return (
            low if math.isinf(low) else math.ceil(low - nudge),
            high if math.isinf(high) else math.floor(high + nudge),
        )

    def _rounded(self, value: float) -> float:
        first, last = self.ends()
        return self._multiple(int(min(max(round(value / self.step), first), last)))

    def _multiple(self, count: int) -> float:
        if isinstance(self.step, int):
            return count * self.step
        return float(f"{count * self.step:.12g}")  # 0.3, not 0.30000000000000004


@dataclass(frozen=True)
class Linear:
    """Evenly from ``low`` to ``high``."""

    low: float
    high: float

    def at(self, share: float) -> float:
        return min(self.low + share * (self.high - self.low), self.high)

    def place(self, value: float) -> float:
        return _between((value - self.low) / (self.high - self.low)) if self.high > self.low else 0.5

    def sample(self, rng: random.Random) -> float:
        return self.at(rng.random())


@dataclass(frozen=True)
class Logarithmic:
    """The logarithm evenly from ``log_low`` to ``log_high``. ``ends`` are the exact ends where they are known."""

    log_low: float
    log_high: float
    ends: tuple[float, float] | None = None

    @property
    def low(self) -> float:
        return self.ends[0] if self.ends else math.exp(self.log_low)

    @property
    def high(self) -> float:
        return self.ends[1] if self.ends else math.exp(self.log_high)

    def at(self, share: float) -> float:
        return min(max(math.exp(self.log_low + share * (self.log_high - self.log_low)), self.low), self.high)

    def place(self, value: float) -> float:
        if value <= 0:
            return 0.0
        return Linear(self.log_low, self.log_high).place(math.log(value))

    def sample(self, rng: random.Random) -> float:
        return self.at(rng.random())


@dataclass(frozen=True)
class Normal:
    """Normal with mean ``mu`` and standard deviation ``sigma``."""

    mu: float
    sigma: float
    low = -math.inf
    high = math.inf

    def at(self, share: float) -> float:
        return NormalDist(self.mu, self.sigma).inv_cdf(min(max(share, EDGE), 1 - EDGE))

    def place(self, value: float) -> float:
        return NormalDist(self.mu, self.sigma).cdf(value)

    def sample(self, rng: random.Random) -> float:
        return self.at(rng.random())


@dataclass(frozen=True)
class LogNormal:
    """The logarithm is normal with mean ``mu`` and standard deviation ``sigma``."""

    mu: float
    sigma: float
    low = 0.0
    high = math.inf

    def at(self, share: float) -> float:
        return math.exp(Normal(self.mu, self.sigma).at(share))

    def place(self, value: float) -> float:
        return Normal(self.mu, self.sigma).place(math.log(value)) if value > 0 else 0.0

    def sample(self, rng: random.Random) -> float:
        return self.at(rng.random())


@dataclass(frozen=True)
class Beta:
    """Beta with the shapes ``a`` and ``b``. An optimiser searches it evenly: its ends are finite."""

    a: float
    b: float
    low = 0.0
    high = 1.0

    def at(self, share: float) -> float:
        return share

    def place(self, value: float) -> float:
        return _between(value)

    def sample(self, rng: random.Random) -> float:
        return rng.betavariate(self.a, self.b)


def _between(share: float) -> float:
    return min(max(share, 0.0), 1.0)
