"""What the wall clock says of a row: hour, day, week, and how near the next holiday is."""

import difflib
from functools import lru_cache
from types import ModuleType

import numpy as np

from fulgurite.base.errors import DataError
from fulgurite.base.optional import require

DAY = np.timedelta64(1, "D")
TURN = 2 * np.pi


def calendar_features(clock: np.ndarray, holidays: str | None = None) -> dict[str, np.ndarray]:
    """What a model may condition on, one array (n,) for each name.

    ``sin_day, cos_day, sin_week, cos_week`` float32 turn once a day and once a week; ``hour`` int32 0…23 and
    ``day_of_week`` int32, 0 on Monday. With ``holidays``, a code such as ``"US"`` or ``"US-CA"``, also ``holiday`` bool
    and ``gap_holiday`` int32, the signed days from the nearest holiday. ``clock`` is `Series.clock`.

    Raises ``DataError`` for an unknown code.
    """
    days = clock.astype("datetime64[D]")
    weekdays = day_of_week(days)
    hours = (clock - days).astype(np.int64) / 3.6e9
    found: dict[str, np.ndarray] = {}
    for name, part in (("day", hours / 24), ("week", (weekdays + hours / 24) / 7)):
        found[f"sin_{name}"] = np.sin(TURN * part).astype(np.float32)
        found[f"cos_{name}"] = np.cos(TURN * part).astype(np.float32)
    found["hour"] = hours.astype(np.int32)
    found["day_of_week"] = weekdays
    if holidays is not None:
        found["holiday"], found["gap_holiday"] = nearness(days, holidays)
    return found


def document_features(clock: np.ndarray, time: np.ndarray, holidays: str | None = "US") -> dict[str, np.ndarray]:
    """The columns that the document's model is fed beside the value, as the analysis it follows made them.

    ``hour_min`` is hours with minutes as their fraction (seconds are dropped), ``gap_holiday`` positive after a
    holiday, ``t`` the time since 1970 in whole units of 100 s. With ``holidays=None`` the two that need it are missing.
    """
    days = clock.astype("datetime64[D]")
    months = clock.astype("datetime64[M]")
    found = {
        "day": (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
        "month": months.astype(np.int64) % 12 + 1,
        "year": clock.astype("datetime64[Y]").astype(np.int64) + 1970,
        "hour_min": (clock - days).astype("timedelta64[m]").astype(np.int64) / 60,
        "day_of_week": day_of_week(days).astype(np.int64),
        "t": time.astype("datetime64[us]").astype(np.int64) // 100_000_000,
    }
    if holidays is not None:
        holiday, gap = nearness(days, holidays)
        found |= {"holiday": holiday.astype(np.int64), "gap_holiday": gap.astype(np.int64)}
    return found


def day_of_week(days: np.ndarray) -> np.ndarray:
    """0 on Monday … 6 on Sunday, int32."""
    # Day 0 of the count, 1 January 1970, was a Thursday.
    return ((days.astype("datetime64[D]").astype(np.int64) + 3) % 7).astype(np.int32)


def nearness(days: np.ndarray, holidays: str) -> tuple[np.ndarray, np.ndarray]:
    """Whether each day is a holiday (bool), and its signed days from the nearest one (int32, positive after it).

    Halfway between two, the former counts. In years for which the country has none, no day is near one: 0.
    """
    if not len(days):
        return np.zeros(0, bool), np.zeros(0, np.int32)
    free = holiday_dates(holidays, days.min(), days.max())
    if not len(free):
        return np.zeros(len(days), bool), np.zeros(len(days), np.int32)
    number = days.astype("datetime64[D]").astype(np.int64)
    after = np.searchsorted(free, number).clip(0, len(free) - 1)
    before = (np.searchsorted(free, number, side="right") - 1).clip(0)
    since, until = number - free[before], number - free[after]
    gap = np.where(np.abs(since) <= np.abs(until), since, until).astype(np.int32)
    return gap == 0, gap


def holiday_dates(code: str, first: np.datetime64, last: np.datetime64) -> np.ndarray:
    """The sorted holidays around ``first`` … ``last``, a year further at either end, as days since 1970 (int64)."""
    years = [int(day.astype("datetime64[Y]").astype(np.int64)) + 1970 for day in (first, last)]
    return _dates(code, years[0] - 1, years[1] + 1)


@lru_cache(maxsize=64)
def _dates(code: str, first: int, last: int) -> np.ndarray:
    package = require("holidays", "anomaly")
    country, _, part = code.partition("-")
    try:
        found = package.country_holidays(country.upper(), subdiv=part.upper() or None, years=range(first, last + 1))
    except (NotImplementedError, AttributeError) as error:
        raise DataError(_unknown(code, country.upper(), package)) from error
    return np.sort(np.array(list(found), "datetime64[D]").astype(np.int64))


def _unknown(code: str, country: str, package: ModuleType) -> str:
    """What to say of a code that the calendars do not have."""
    parts = package.list_supported_countries(include_aliases=True).get(country)
    if parts is not None:
        names = [f"{country}-{part}" for part in parts]
        return f"holidays={code!r}: {country} has no such part. {_like(code.upper(), names)}, or {country} alone."
    known = {entry[1]: name.replace("_", " ").title() for name, entry in package.registry.COUNTRIES.items()}
    by_name = {name.upper(): short for short, name in known.items()}
    words = difflib.get_close_matches(code.upper(), [*by_name, *known], n=4, cutoff=0.5)
    near = [f"{short} ({known[short]})" for short in dict.fromkeys(by_name.get(word, word) for word in words)]
    hint = f"Near it: {', '.join(near)}." if near else "Examples: US, IT, GB, DE, US-CA."
    return f"holidays={code!r} is no country code of two letters, with or without a part as in US-CA. {hint}"


def _like(word: str, names: list[str]) -> str:
    near = difflib.get_close_matches(word, names, n=4, cutoff=0.4) or names[:8]
    return f"It has {', '.join(near)}{' …' if len(names) > len(near) else ''}" if names else "It has none"
