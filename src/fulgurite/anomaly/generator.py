"""A made-up series in which every anomaly is known: it has a day, a week and holidays, and things go wrong in it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fulgurite.anomaly.calendars import day_of_week, nearness
from fulgurite.anomaly.series import Series
from fulgurite.base.errors import DataError

KINDS = ("spike", "shift", "flat", "missing", "calendar")
HOURS_OF_DAY = 24.0
#: A kind of anomaly, and from which row up to which it may take.
Place = tuple[str, tuple[int, int]]


@dataclass(frozen=True)
class Injection:
    """One thing that was done to the rows from ``start`` to ``end``, both of them times and both included."""

    kind: str
    start: np.datetime64
    end: np.datetime64


@dataclass(frozen=True)
class Generated(Series):
    """A made-up series; ``clean`` (n,) are the values before anything was ``injected``."""

    injected: tuple[Injection, ...] = ()
    clean: np.ndarray | None = None

    def rows(self, start: int | None = None, stop: int | None = None) -> Series:
        """A plain series: what was injected is told by its label."""
        names = ("time", "clock", "values", "names", "categories", "label", "order", "notes")
        return Series(**{name: getattr(self, name) for name in names}).rows(start, stop)


def generate(
    rows: int = 4_000,
    step: float = 3_600.0,
    kinds: tuple[str, ...] = KINDS,
    seed: int = 0,
    clean_share: float = 0.5,
    each: int = 2,
    noise: float = 2.0,
    begin: str = "2023-01-02",
    holidays: str = "US",
) -> Generated:
    """Make ``rows`` rows, ``step`` seconds apart, with ``each`` anomalies of every kind; the same for the same seed.

    The first ``clean_share`` of the rows stays clean, since a detector learns from the front. The value swings between
    about 100 and 160 with a normal ``noise`` around it. The kinds:

    - ``spike``: one to three rows far off, 60 to 90 up or down
    - ``shift``: one or two days that lie 40 higher or lower
    - ``flat``: half a day or a day that repeats one value to the last digit
    - ``missing``: half a day or a day without a number. The rows stay, and their label is False: there is nothing in
      them that could be judged. ``injected`` names them.
    - ``calendar``: a day with the shape of another kind of day, e.g. a Tuesday like a Sunday; labelled from the first
      to the last row in which the two shapes differ by more than three times the noise

    Where rows are few, an anomaly takes no more than six tenths of its share of them. Raises ``DataError`` where they
    are too few even so.
    """
    _check(rows, step, kinds, clean_share)
    random = np.random.default_rng(seed)
    clock = np.datetime64(begin, "us") + (np.arange(rows) * step * 1e6).astype("timedelta64[us]")
    errors = random.normal(0, noise, rows)
    shape, other = _shapes(clock, holidays)
    world = _World(clock, shape + errors, shape, other, noise, step, random)
    for kind, place in _places(kinds, each, int(rows * clean_share), rows, random):
        world.inject(kind, *place)
    return Generated(
        clock,
        clock,
        world.values[:, None],
        ("value",),
        label=world.label,
        order=np.arange(rows),
        notes=(f"SYNTHETIC: made by the generator with seed {seed}; {len(world.injected)} anomalies were put in.",),
        injected=tuple(world.injected),
        clean=shape + errors,
    )


def _check(rows: int, step: float, kinds: tuple[str, ...], clean_share: float) -> None:
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise DataError(f"kinds={kinds!r}: {unknown[0]!r} is none of {', '.join(KINDS)}.")
    if rows < 1 or step <= 0 or not 0 <= clean_share < 1:
        raise DataError(
            f"generate() needs rows >= 1, step > 0 and 0 <= clean_share < 1; given were rows={rows}, step={step}, "
            f"clean_share={clean_share}."
        )


def _shapes(clock: np.ndarray, holidays: str) -> tuple[np.ndarray, np.ndarray]:
    """The value without noise, and what it would be if quiet days were busy ones and the other way round."""
    days = clock.astype("datetime64[D]")
    hour = (clock - days).astype(np.int64) / 3.6e9
    weekday = day_of_week(days)
    quiet = (weekday >= 5) | nearness(days, holidays)[0]
    busy_day = 100 + 45 * _bump(hour, 10, 2.5) + 35 * _bump(hour, 17.5, 2.5) + 3.0 * (weekday == 4)
    quiet_day = 100 + 22 * _bump(hour, 14, 4.0) + 4.0 * (weekday == 5)
    return np.where(quiet, quiet_day, busy_day), np.where(quiet, busy_day, quiet_day)


def _bump(hour: np.ndarray, top: float, width: float) -> np.ndarray:
    distance = (hour - top + HOURS_OF_DAY / 2) % HOURS_OF_DAY - HOURS_OF_DAY / 2
    return np.exp(-0.5 * (distance / width) ** 2)


def _places(kinds: tuple[str, ...], each: int, first: int, rows: int, random: np.random.Generator) -> list[Place]:
    """Each anomaly's kind and the rows it may take: equal shares of what follows ``first``, in a random order."""
    order = random.permutation(np.repeat(np.array(kinds, dtype=object), each))
    edges = np.linspace(first, rows, len(order) + 1).astype(int)
    return list(zip(order, zip(edges[:-1], edges[1:], strict=True), strict=True))


class _World:
    """The rows while things go wrong in them."""

    def __init__(
        self,
        clock: np.ndarray,
        values: np.ndarray,
        shape: np.ndarray,
        other: np.ndarray,
        noise: float,
        step: float,
        random: np.random.Generator,
    ) -> None:
        self.clock, self.values, self.shape, self.other = clock, values.copy(), shape, other
        self.noise, self.random = noise, random
        self.day = max(2, round(86_400 / step))
        self.label = np.zeros(len(clock), bool)
        self.injected: list[Injection] = []

    def inject(self, kind: str, start: int, stop: int) -> None:
        act: Callable[[int, int], tuple[int, int]] = getattr(self, f"_{kind}")
        first, last = act(start, stop)
        self.label[first:last] = kind != "missing"
        self.injected.append(Injection(kind, self.clock[first], self.clock[last - 1]))

    def _spike(self, start: int, stop: int) -> tuple[int, int]:
        part = self._part(start, stop, int(self.random.integers(1, 4)), "spike")
        self.values[slice(*part)] += self._sign() * self.random.uniform(60, 90)
        return part

    def _shift(self, start: int, stop: int) -> tuple[int, int]:
        part = self._part(start, stop, self.day * int(self.random.integers(1, 3)), "shift")
        self.values[slice(*part)] += self._sign() * 40
        return part

    def _flat(self, start: int, stop: int) -> tuple[int, int]:
        part = self._part(start, stop, self._half_or_whole_day(), "flat")
        self.values[slice(*part)] = self.values[part[0]]
        return part

    def _missing(self, start: int, stop: int) -> tuple[int, int]:
        part = self._part(start, stop, self._half_or_whole_day(), "missing")
        self.values[slice(*part)] = np.nan
        return part

    def _calendar(self, start: int, stop: int) -> tuple[int, int]:
        day = self.random.choice(self._whole_days(start, stop))
        rows = np.flatnonzero(self.clock.astype("datetime64[D]") == day)
        self.values[rows] += (self.other - self.shape)[rows]
        differ = rows[np.abs(self.other - self.shape)[rows] > 3 * self.noise]
        return int(differ[0]), int(differ[-1]) + 1

    def _whole_days(self, start: int, stop: int) -> np.ndarray:
        days, counts = np.unique(self.clock[start:stop].astype("datetime64[D]"), return_counts=True)
        whole = days[counts >= counts.max()]
        if counts.max() < self.day or self.day < 8:
            raise DataError(
                f"A 'calendar' anomaly needs a whole day of eight or more rows; its share has {stop - start}. {_MORE}"
            )
        return whole

    def _part(self, start: int, stop: int, length: int, kind: str) -> tuple[int, int]:
        """``length`` rows within the middle of ``start`` … ``stop``, so that two anomalies never touch."""
        if stop - start < 10:
            raise DataError(f"Only {stop - start} rows are left for a {kind!r} anomaly; ten are needed. {_MORE}")
        margin = max(1, (stop - start) // 10)
        length = min(length, (stop - start) * 6 // 10)
        room = stop - start - 2 * margin - length
        first = start + margin + int(self.random.integers(0, room + 1))
        return first, first + length

    def _half_or_whole_day(self) -> int:
        return int(self.random.choice([self.day // 2, self.day]))

    def _sign(self) -> int:
        return int(self.random.choice([-1, 1]))


_MORE = "Ask for more rows, fewer kinds, a smaller each= or a smaller clean_share=."
